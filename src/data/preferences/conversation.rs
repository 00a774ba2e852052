//! Conversations as text in the form of Anthropic's transcripts, which a model that knows no roles can continue.

use serde::Deserialize;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: String,
}

/// Heading before an answer of the assistant.
pub(super) const ASSISTANT: &str = "\n\nAssistant:";

/// Heading before a turn of the user.
pub(super) const HUMAN: &str = "\n\nHuman:";

/// Formats a conversation, from the first message to the last.
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
