//! Messages as text, in the way of Anthropic's transcripts: a model that knows no roles continues them.

use serde::Deserialize;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: String,
}

/// What an answer of the assistant follows.
pub(super) const ASSISTANT: &str = "\n\nAssistant:";

/// What the other side's turn begins with.
pub(super) const HUMAN: &str = "\n\nHuman:";

/// A conversation, from the first message to the last.
pub(super) fn transcript(messages: &[Message]) -> String {
    messages.iter().map(|message| format!("{} {}", heading(&message.role), message.content)).collect()
}

fn heading(role: &str) -> String {
    match role {
        "user" => HUMAN.into(),
        "assistant" => ASSISTANT.into(),
        "system" => "\n\nSystem:".into(),
        other => format!("\n\n{other}:"),
    }
}
