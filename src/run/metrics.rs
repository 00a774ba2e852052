//! The metrics of each step, in `metrics.jsonl`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::metric::Metric;
use super::stage::Stage;
use super::step_log::{StepLog, read_rows};
use crate::error::Result;

/// The log of metrics of a run: flat objects such as
/// `{"version":1,"step":3,"objective/kl":1.5}`.
#[derive(Debug)]
pub struct MetricsLog(StepLog);

impl MetricsLog {
    /// Opens the log as [`StepLog::open`] does.
    pub fn open(path: &Path, resume_step: Option<u64>) -> Result<Self> {
        StepLog::open(path, resume_step).map(Self)
    }

    /// Appends the (name, value) pairs of a step in the order given; a value that is not finite becomes `null`,
    /// because JSON has no such number.
    pub fn log(&mut self, step: u64, values: &[(Metric, f64)]) -> Result<()> {
        self.0.append(&Row { step, values })
    }

    /// Makes all rows durable. Call this before saving the checkpoint that depends on them.
    pub fn sync(&self) -> Result<()> {
        self.0.sync()
    }
}

struct Row<'a> {
    step: u64,
    values: &'a [(Metric, f64)],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.values.len()))?;
        map.serialize_entry("step", &self.step)?;
        for (metric, value) in self.values {
            map.serialize_entry(metric.name(), value)?;
        }
        map.end()
    }
}

/// Reads all rows of a metrics log, each with its `step` among the values, and `null` as NaN.
///
/// # Errors
/// [`crate::Error::Input`] for a line that is no such row, and for one that a newer version wrote.
pub fn read(path: &Path) -> Result<Vec<BTreeMap<String, f64>>> {
    let rows: Vec<BTreeMap<String, Option<f64>>> = read_rows(path)?;
    let values = |mut row: BTreeMap<String, Option<f64>>| {
        row.remove("version");
        row.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect()
    };
    Ok(rows.into_iter().map(values).collect())
}

/// The metrics of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsRow {
    pub step: f64,
    values: BTreeMap<Metric, f64>,
}

impl MetricsRow {
    /// Makes a row of these metrics.
    pub fn new(step: f64, values: impl IntoIterator<Item = (Metric, f64)>) -> Self {
        Self { step, values: values.into_iter().collect() }
    }

    /// Returns the metrics with another step.
    #[must_use]
    pub fn at(self, step: f64) -> Self {
        Self { step, ..self }
    }

    /// Returns the value of a metric, if it was logged.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.values.get(&metric).copied()
    }

    /// Returns the stage that logged the row; `None` where the row has no metric that this version knows.
    pub fn stage(&self) -> Option<Stage> {
        self.values.keys().next().map(|metric| metric.stage())
    }
}

/// Reads the rows of a metrics log that have a step, without the metrics that this version does not know.
///
/// # Errors
/// The errors of [`read`].
pub fn read_metrics(path: &Path) -> Result<Vec<MetricsRow>> {
    let known = |(name, value): (String, f64)| Metric::named(&name).map(|metric| (metric, value));
    let row = |values: BTreeMap<String, f64>| {
        let step = *values.get("step")?;
        Some(MetricsRow::new(step, values.into_iter().filter_map(known)))
    };
    Ok(read(path)?.into_iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_flat_objects_in_the_order_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, None).unwrap();
        log.log(3, &[(Metric::Kl, 1.5), (Metric::TotalLoss, f64::NAN)]).unwrap();
        log.log(4, &[(Metric::Kl, f64::INFINITY)]).unwrap();
        log.sync().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"version\":1,\"step\":3,\"objective/kl\":1.5,\"ppo/loss/total\":null}\n\
             {\"version\":1,\"step\":4,\"objective/kl\":null}\n",
        );
        let rows = read(&path).unwrap();
        assert_eq!((rows[0]["step"], rows[0]["objective/kl"]), (3.0, 1.5));
        assert!(rows[0]["ppo/loss/total"].is_nan() && !rows[0].contains_key("version"));
        std::fs::write(&path, "{\"step\":1}\n{\"version\":2,\"step\":2}\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl:2: written by a newer preftune"), "{error}");
    }

    #[test]
    fn a_resumed_run_drops_what_it_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, None).unwrap();
        (1..=5).for_each(|step| log.log(step, &[(Metric::TrainingLoss, 1.0)]).unwrap());
        MetricsLog::open(&path, Some(3)).unwrap().log(4, &[(Metric::TrainingLoss, 2.0)]).unwrap();
        let steps: Vec<f64> = read(&path).unwrap().iter().map(|row| row["step"]).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0, 4.0]);
    }
}
