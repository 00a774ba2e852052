//! A custom model folder, which is read and written again in Hugging Face layout.
//!
//! ```sh
//! cargo run --release --example own_model -- models/storyteller copy
//! ```

use preftune::lm::Precision;
use preftune::platform::files;
use preftune::{Result, device, models};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let from = arguments.next().unwrap_or("models/storyteller".into());
    let to = arguments.next().unwrap_or("target/copy".into());
    let model = models::open(&from, &device::host())?;
    let shape = model.config();
    println!("{from}: {} layers of width {}, {} tokens", shape.layers, shape.width, shape.vocab_size);
    let tokens = model.tokenizer.encode("The old captain set down his glass.")?;
    println!("{tokens:?} is {:?}", model.tokenizer.decode(&tokens)?);
    files::create_folder(to.as_ref())?;
    for (name, bytes) in model.to_files(Precision::F32)? {
        files::write_atomically(&std::path::Path::new(&to).join(&name), &bytes)?;
        println!("{to}/{name}: {} bytes", bytes.len());
    }
    Ok(())
}
