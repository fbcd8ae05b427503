//! Our scalars as metrics of burn-train, for its stores and its terminal dashboard.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{ExecutionError, TensorReadError};
use burn::train::ItemLazy;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

/// Named means over the steps since the last log line.
#[derive(Clone, Debug, Default)]
pub struct Scalars(pub BTreeMap<String, f64>);

impl ItemLazy for Scalars {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Scalars> for Scalars {
    fn adapt(&self) -> Scalars {
        self.clone()
    }
}

/// One of the [`Scalars`] as a metric; steps that lack it leave it as it was.
#[derive(Clone)]
pub struct ScalarMetric {
    name: MetricName,
    state: NumericMetricState,
}

impl ScalarMetric {
    /// The scalar of this name.
    pub fn new(name: &str) -> Self {
        Self {
            name: Arc::new(name.into()),
            state: NumericMetricState::default(),
        }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name()).precision(4)
    }
}

impl Metric for ScalarMetric {
    type Input = Scalars;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: false,
        }
        .into()
    }

    fn update(&mut self, item: &Scalars, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        if let Some(value) = item.0.get(self.name.as_str()) {
            self.state.update(*value, 1);
        }
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for ScalarMetric {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
