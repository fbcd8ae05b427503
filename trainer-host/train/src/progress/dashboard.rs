//! The adapter to burn-train: its renderer is the terminal's dashboard, whose key `q` asks to stop.
//!
//! Of burn-train's harness the loop uses no more than this. Its `SupervisedTraining` wants a model whose step cannot fail, an
//! optimiser that it owns, and checkpointers of its own, and hands none of them back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::train::Interrupter;
use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::{MetricState, MetricsRenderer};

/// burn-train's dashboard, showing one phase.
pub struct Dashboard {
    renderer: Box<dyn MetricsRenderer>,
    /// Told by the renderer's keys.
    interrupter: Interrupter,
    /// Scalars that it has a chart of.
    known: BTreeSet<String>,
}

impl Dashboard {
    /// Takes the terminal. None where this binary has no dashboard.
    pub fn open(label: &str, done: u64, total: u64) -> Option<Self> {
        let interrupter = Interrupter::new();
        let mut renderer = renderer(&interrupter)?;
        renderer.start(1, 1, Some(total as usize), Some(label));
        renderer.start_split("train", total as usize);
        renderer.update_split(done as usize);
        Some(Self {
            renderer,
            interrupter,
            known: BTreeSet::new(),
        })
    }

    /// Draws the means of a line of the log.
    pub fn log(&mut self, means: &BTreeMap<String, f64>) {
        for (name, value) in means {
            let id = MetricId::new(Arc::new(name.clone()));
            if self.known.insert(name.clone()) {
                self.renderer.register_metric(MetricDefinition {
                    metric_id: id.clone(),
                    name: Arc::new(name.clone()),
                    description: None,
                    attributes: MetricAttributes::Numeric(NumericAttributes {
                        unit: None,
                        higher_is_better: false,
                    }),
                });
            }
            let text = format!("{value:.4}");
            let entry = MetricEntry::new(id, SerializedEntry::new(text.clone(), text));
            let state = MetricState::Numeric(entry, Some(NumericEntry::Value(*value)));
            match name.as_str() {
                "validation" => self.renderer.update_valid(state),
                _ => self.renderer.update_train(state),
            }
        }
    }

    /// `done` steps are done.
    pub fn step(&mut self, done: u64) {
        self.renderer.update_split(done as usize);
        if self.interrupter.should_stop() {
            sextant_interrupt::stop();
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.renderer.end_split();
        self.renderer.end();
        // Gives the terminal back; an error has nobody left to see it.
        let _ = self.renderer.on_train_end(None);
    }
}

#[cfg(feature = "tui")]
fn renderer(interrupter: &Interrupter) -> Option<Box<dyn MetricsRenderer>> {
    use burn::train::renderer::tui::TuiMetricsRendererWrapper;
    Some(Box::new(TuiMetricsRendererWrapper::new(interrupter.clone(), None)))
}

#[cfg(not(feature = "tui"))]
fn renderer(_: &Interrupter) -> Option<Box<dyn MetricsRenderer>> {
    None
}
