//! The stages of a run, with their folders.

/// A stage that trains a model, in a folder of its own; a command that trains one stage uses the folder of the
/// run itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Training of the reward model (Figure 1, left).
    Reward,
    /// Training of the policy (Figure 1, right).
    Policy,
    /// Next-token training on chosen responses.
    Supervised,
}

impl Stage {
    pub const ALL: [Self; 3] = [Self::Reward, Self::Policy, Self::Supervised];

    /// Returns the name of the stage's folder in the folder of a run.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Supervised => "sft",
            Self::Reward => "reward",
            Self::Policy => "policy",
        }
    }

    /// Lists every folder that may have checkpoints and logs, relative to the folder of a run.
    pub fn folders() -> impl Iterator<Item = &'static str> {
        [""].into_iter().chain(Self::ALL.map(Self::folder))
    }
}
