//! One PPO update in its steps: sample responses, score them, compute the rewards, train.
//!
//! ```sh
//! cargo run --release --example one_update
//! ```

use burn::module::Module;
use preftune::config::Config;
use preftune::data::LeftOut;
use preftune::data::queries::openings;
use preftune::lm::ScalarHead;
use preftune::platform::Interrupt;
use preftune::policy::ppo::{UpdateSettings, update};
use preftune::policy::{Policy, Rollouts, shape};
use preftune::random::{Stream, uniform};
use preftune::task::TextScorer;
use preftune::task::{Queries, Task};
use preftune::training::{Adam, Backward};
use preftune::{Result, device, models};

fn main() -> Result<()> {
    let device = device::open("cpu".parse()?)?.device;
    let reference = models::open("storyteller", &device)?;
    let (settings, interrupt) = (Config::default(), Interrupt::new());
    let task = Task::new(&settings.task, &reference)?;
    let (length, temperature) = (task.sampling.response_length, task.sampling.temperature);
    let queries = Queries::Text(openings()?.train).tokens(&reference, &task, &mut LeftOut::default())?;

    // The policy π is a copy of the reference ρ, with a value head that begins at 0.
    let transformer = reference.transformer.clone().fork(&device);
    let value_head = ScalarHead::zeros(reference.config().width, &device);
    let policy = Policy { transformer, value_head }.train();
    let mut optimizer = Adam::optimizer(settings.policy.adam, settings.policy.adam_epsilon);

    let scorer = &TextScorer::new(&reference.tokenizer, |texts: &[(String, String)]| {
        Ok(texts.iter().map(|(_, response)| response.matches(" the").count() as f64).collect())
    });
    let rollouts = Rollouts { reference: &reference, scorer, task, rows_at_once: 32 };
    let numbers = |row: usize| uniform(1, Stream::Sampling, 0, row as u64, length);
    let rollout = rollouts.roll_out(&policy, queries.into_iter().take(32).collect(), numbers, &interrupt)?;
    let kl_coefficient = settings.policy.kl.coefficient;
    let shaped = shape(&rollout.scores, &rollout.log_probs, &rollout.reference_log_probs, kl_coefficient);

    let rate = settings.policy.learning_rate;
    let steps = UpdateSettings::new(&settings.policy, Backward::in_passes_of(32), rate, temperature, &interrupt);
    let epochs = vec![(0..32).collect(); settings.policy.epochs];
    let updated = update(policy, &mut optimizer, &rollout, &shaped.rewards, &epochs, &steps)?;
    for (epoch, step) in updated.steps.iter().enumerate() {
        let (loss, kl) = (step.total_loss, step.approximate_kl);
        println!("epoch {epoch}: loss {loss:.4}, KL from the policy that drew {kl:.5}");
    }
    Ok(())
}
