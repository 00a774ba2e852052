//! Four continuations of an opening.
//!
//! ```sh
//! cargo run --release --example sample -- "The old captain set down his glass."
//! ```

use preftune::stages::Continuations;
use preftune::{Config, Interrupt, Mode, OpenDevice, Result, Task, open, open_device};

fn main() -> Result<()> {
    let query = std::env::args().nth(1).unwrap_or("The old captain set down his glass.".into());
    let OpenDevice { device, device_memory, .. } = open_device("cpu".parse()?)?;
    let model = &open("storyteller", &device)?;
    let task = &Task::new(&Config::default().task, model)?;
    let (queries, interrupt, progress) = (&[query], Interrupt::new(), Mode::Quiet);
    let continuations = Continuations { model, task, queries, responses: 4, seed: 1, interrupt, progress };
    let (at_once, _) = continuations.rows_that_fit(device_memory)?;
    continuations.sample(at_once, |part| {
        for response in part.responses {
            println!("{}{}", part.query, task.decode_response(model, response)?);
        }
        Ok(true)
    })
}
