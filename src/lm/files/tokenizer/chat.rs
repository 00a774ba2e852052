//! A model's own chat template, which wraps a message of the role `user` as the model was trained to read it.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::error::{Error, Result};

/// Name of the file of a chat template, where it is not in `tokenizer_config.json`.
pub const CHAT_TEMPLATE_FILE: &str = "chat_template.jinja";

/// Largest number of steps in which a template may wrap a query. Those of published models take some hundreds; a
/// damaged one must not run for ever.
const MOST_STEPS: u64 = 100_000;

/// Chat template in the language Jinja, as `transformers` renders it (`apply_chat_template`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatTemplate {
    pub source: String,
    /// Texts of the tokens that begin and end a text.
    pub start: Option<String>,
    pub end: Option<String>,
}

impl ChatTemplate {
    /// Reads the text of [`CHAT_TEMPLATE_FILE`], which is in `folder`.
    ///
    /// # Errors
    /// [`Error::Input`] for bytes that are not UTF-8: the model would read other characters than it was trained on.
    pub(in crate::lm::files) fn source_of_file(bytes: &[u8], folder: &Path) -> Result<String> {
        std::str::from_utf8(bytes).map(String::from).map_err(|error| {
            let what = format!("byte {} is not UTF-8", error.valid_up_to() + 1);
            Error::input(&folder.join(CHAT_TEMPLATE_FILE), what, "take the file that came with the model")
        })
    }

    /// Reads the template of a `tokenizer_config.json`: a text, or a list with one that is named `default`.
    pub(super) fn source_of_config(config: &serde_json::Value) -> Option<&str> {
        let template = config.get("chat_template")?;
        let named = template.as_array().into_iter().flatten();
        let default = named.into_iter().find(|one| one.get("name").is_some_and(|name| name == "default"));
        template.as_str().or_else(|| default?.get("template")?.as_str())
    }

    /// Returns the text that the model answers after a message `query` of the role `user`.
    ///
    /// `strftime_now` is not available to the template, so that the same query always gives the same text; templates
    /// then take a fixed date of their own.
    ///
    /// # Errors
    /// [`Error::Usage`] when the template cannot be read, or refuses the query.
    pub(crate) fn render(&self, query: &str) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(MOST_STEPS));
        // The syntax is the usual one, so that it is valid.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.unwrap_or_default());
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        // A token that the tokenizer does not name is not defined at all.
        let named = |text: &Option<String>| text.clone().map_or(Value::UNDEFINED, Value::from);
        let rendered = environment.template_from_str(&self.source).and_then(|template| {
            template.render(context! {
                messages => [context! { role => "user", content => query }],
                add_generation_prompt => true,
                tools => (),
                documents => (),
                bos_token => named(&self.start),
                eos_token => named(&self.end),
            })
        });
        let unusable = |reason: String| {
            Error::usage(
                format!("the model's chat template cannot be used: {reason}"),
                "leave out --chat, and set task.query_prefix and task.query_suffix to what the model expects",
            )
        };
        let text = rendered.map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::OutOfFuel => format!("it takes more than {MOST_STEPS} steps"),
                _ => error.detail().map_or_else(|| error.to_string(), String::from),
            };
            unusable(reason)
        })?;
        if text.is_empty() || !(text.contains(query.trim()) || self.source.contains("content")) {
            return Err(unusable("it does not print the message".into()));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate { source: source.into(), start: Some("<s>".into()), end: Some("</s>".into()) }
    }

    #[test]
    fn blocks_are_trimmed_as_transformers_does() {
        let source = "{%- for message in messages %}\n    {%- if message['role'] == 'user' %}\n{{ bos_token + message['content'].strip() + eos_token }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n  {{- '<|a|>' }}\n{%- endif %}";
        assert_eq!(template(source).render(" Hi {x} ").unwrap(), "<s>Hi {x}</s><|a|>");
    }

    #[test]
    fn a_template_that_fails_says_why() {
        let error = template("{{ raise_exception('no users') }}").render("Hi").unwrap_err();
        assert!(error.to_string().contains("no users"), "{error}");
        assert_eq!(template("{% if %}").render("Hi").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_template_without_the_message_is_refused() {
        for source in ["", "{# x #}", "hello", "{{ bos_token }}"] {
            let error = template(source).render("Hi there").unwrap_err();
            assert!(error.to_string().contains("does not print the message"), "{error}");
        }
    }

    #[test]
    fn a_template_that_does_not_end_is_stopped() {
        let endless = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}";
        let error = template(endless).render("Hi").unwrap_err();
        assert!(error.to_string().contains("more than 100000 steps"), "{error}");
    }

    #[test]
    fn a_list_of_templates_has_a_default() {
        let config = serde_json::json!({"chat_template": [
            {"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}
        ]});
        assert_eq!(ChatTemplate::source_of_config(&config), Some("d"));
        assert_eq!(ChatTemplate::source_of_config(&serde_json::json!({"chat_template": "x"})), Some("x"));
        assert_eq!(ChatTemplate::source_of_config(&serde_json::json!({})), None);
    }
}
