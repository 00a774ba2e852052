//! Labelling by people: the queue, the terminal, and the page, in a browser and under attack.

pub mod label;
#[cfg(feature = "web")]
mod label_browser;
#[cfg(feature = "web")]
pub mod label_page;
#[cfg(feature = "web")]
mod label_page_hostile;
