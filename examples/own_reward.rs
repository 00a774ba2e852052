//! A custom reward, with which the policy is tuned towards short sentences, without labels and without a
//! reward model.
//!
//! ```sh
//! cargo run --release --example own_reward -- runs/own-reward
//! ```

use preftune::data::LeftOut;
use preftune::{Config, Interrupt, Mode, OpenDevice, Queries, Result, RunDirectory, Session, Task, TextScorer};
use preftune::{open, open_device, openings, train_policy};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or("runs/own-reward".into());
    let OpenDevice { device, device_memory, .. } = open_device("cpu".parse()?)?;
    let model = &open("storyteller", &device)?;
    let mut settings = Config::default();
    (settings.policy.updates, settings.policy.batch_size) = (8, 32);
    let (settings, interrupt) = (&settings, &Interrupt::new());
    let session = Session { model, settings, interrupt, device_memory, seed: 1, progress: Mode::Shown };
    let task = Task::new(&settings.task, model)?;
    let queries = Queries::Text(openings()?.train).tokens(model, &task, &mut LeftOut::default())?;
    // A response without a period gets the penalty of the task, -1. Every other response is truncated after
    // its period.
    let shortness = TextScorer::new(&model.tokenizer, |texts: &[(String, String)]| {
        Ok(texts.iter().map(|(_, response)| 2.0 - response.len() as f64 / 40.0).collect())
    });
    let updates = settings.policy.updates;
    let tuned = train_policy(&session, &shortness, &queries, updates, &RunDirectory::open(folder)?)?;
    println!("{}", tuned.written.describe(settings.task.penalty_score));
    Ok(())
}
