//! Messages about wrong arguments. Arguments may hold anything, and are shown so that they do not steer a
//! terminal.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::Arguments;
use super::common::report_failure;
use crate::error::Error;
use crate::sanitize::{sanitize, sanitize_line};

/// Prints what is wrong with the arguments, or the help that they ask for.
pub(super) fn report(error: clap::Error) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match error.kind() {
        ErrorKind::InvalidUtf8 => return report_failure(&not_utf8(&arguments)),
        // clap's coloured message is harmless only if it is made of the arguments as they are shown.
        kind if error.use_stderr() => match refusal(arguments.iter().map(as_shown)) {
            Some(shown) if shown.kind() == kind => shown.print().ok(),
            _ => write!(std::io::stderr(), "{}", sanitize(&error.render().to_string())).ok(),
        },
        _ => error.print().ok(),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Names the argument that is not UTF-8, though it has to be text.
fn not_utf8(arguments: &[OsString]) -> Error {
    let is_read_with_texts_up_to = |count: &usize| {
        let (texts, rest) = arguments.split_at(*count);
        let arguments = texts.iter().map(as_shown).chain(rest.iter().cloned());
        refusal(arguments).is_none_or(|error| error.kind() != ErrorKind::InvalidUtf8)
    };
    let what = match (1..=arguments.len()).find(is_read_with_texts_up_to) {
        None => "PREFTUNE_DEVICE is not UTF-8".into(),
        Some(count) => named(arguments.split_at(count).0),
    };
    Error::usage(what, "write it as UTF-8; only paths may be anything else")
}

/// Describes the last of these arguments, which is not UTF-8, with the option that it belongs to.
fn named(arguments: &[OsString]) -> String {
    let mut last = arguments.iter().rev().map(|argument| argument.to_string_lossy());
    let (value, before) = (last.next().unwrap_or_default(), last.next().unwrap_or_default());
    match value.split_once('=') {
        Some((option, value)) if option.starts_with("--") => format!("{option} is not UTF-8: \"{value}\""),
        _ if before.starts_with('-') => format!("{before} is not UTF-8: \"{value}\""),
        _ => format!("this argument is not UTF-8: \"{value}\""),
    }
}

fn as_shown(argument: &OsString) -> OsString {
    sanitize_line(&argument.to_string_lossy()).into()
}

fn refusal(arguments: impl Iterator<Item = OsString>) -> Option<clap::Error> {
    Arguments::try_parse_from(arguments).err()
}
