//! A custom labeler, which prefers the response with the fewest words, and a reward model that learns this
//! preference.
//!
//! ```sh
//! cargo run --release --example own_labeler -- runs/own-labeler
//! ```

use preftune::{Config, Interrupt, Mode, OpenDevice, RunDirectory, Session, StyleExperiment};
use preftune::{Judgment, Labeler, Result, open, open_device, openings};

struct Brief;

impl Labeler for Brief {
    fn name(&self) -> &str {
        "brief"
    }

    fn judge(&mut self, _query: &str, responses: &[String]) -> Result<Judgment> {
        let words = |response: &String| response.split_whitespace().count();
        let scores: Vec<f64> = responses.iter().map(|response| -(words(response) as f64)).collect();
        let nothing = || preftune::Error::failed("there is no response to choose from", "");
        Judgment::of_highest(&scores).ok_or_else(nothing)
    }
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or("runs/own-labeler".into());
    let OpenDevice { device, device_memory, .. } = open_device("cpu".parse()?)?;
    let model = &open("storyteller", &device)?;
    let mut settings = Config::default();
    settings.labels.comparisons = 512;
    (settings.policy.updates, settings.policy.batch_size) = (2, 16);
    let (settings, interrupt) = (&settings, &Interrupt::new());
    let session = Session { model, settings, interrupt, device_memory, seed: 1, progress: Mode::Shown };
    let experiment = StyleExperiment {
        session,
        name: "storyteller",
        queries: &openings()?,
        directory: &RunDirectory::open(folder)?,
    };
    let labels = experiment.labels(&mut Brief)?;
    let tuned = experiment.tune_on(&labels.comparisons, labels.left_out, "")?;
    println!("reward model {}", tuned.fit.describe_accuracy());
    Ok(())
}
