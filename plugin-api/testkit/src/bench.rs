//! A source on the bench.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use sextant_plugin_api::abi::{Descriptor, Handle, Operation};
use sextant_plugin_api::{DType, Error, Exported, Geometry, descriptor};

use crate::boundary::{Handed, Instance};
use crate::declared::{BufferDeclared, Declared, ParameterDeclared, Tap};
use crate::session::{self, Leaf, Pass};
use crate::{Inputs, Value};

/// A source, from its creation to its end.
pub struct Bench {
    instance: Instance,
    planned: Option<(Geometry, Declared)>,
}

/// The results of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The loss of each sample.
    pub loss: Vec<f64>,
    /// The weight of each sample on the denoising loss, if the source gave one.
    pub denoising_weight: Option<Vec<f64>>,
    /// Metrics, by name.
    pub metrics: BTreeMap<String, f64>,
    /// New values of buffers, by name.
    pub buffers: BTreeMap<String, Value>,
    /// Leaves that a gradient of the loss can flow to: taps and parameters from which it was computed other than
    /// through `detach`, `floor`, comparisons or integers.
    pub gradients: BTreeSet<Leaf>,
    /// Passes of the teacher and the moving average.
    pub passes: Vec<Pass>,
    /// Operations, in the order in which they were asked.
    pub asked: Vec<Operation>,
}

impl Outcome {
    /// True if a gradient can flow to the student's tokens of a depth.
    pub fn guides(&self, depth: u32) -> bool {
        self.gradients.contains(&Leaf::Tap(Tap::Block(depth)))
    }
}

impl Bench {
    /// A source with a configuration: a [`serde_json::Value`], or JSON as text.
    ///
    /// # Errors
    /// Those of the source.
    pub fn new<S: Exported>(config: impl Display) -> Result<Self, Error> {
        Self::of(descriptor::<S>(), config)
    }

    /// The source of a descriptor: for tests that go through several.
    ///
    /// # Errors
    /// Those of the source.
    pub fn of(descriptor: &'static Descriptor, config: impl Display) -> Result<Self, Error> {
        Ok(Self {
            instance: Instance::create(descriptor, &config.to_string())?,
            planned: None,
        })
    }

    /// Asks the source what it needs.
    ///
    /// # Errors
    /// Those of the source.
    pub fn plan(&mut self, geometry: &Geometry) -> Result<&Declared, Error> {
        let declared = self.instance.plan(geometry)?;
        Ok(&self.planned.insert((geometry.clone(), declared)).1)
    }

    /// [`Self::plan`], for a chain.
    ///
    /// # Errors
    /// Those of the source.
    pub fn planned(mut self, geometry: &Geometry) -> Result<Self, Error> {
        self.plan(geometry)?;
        Ok(self)
    }

    /// The source's declarations.
    ///
    /// # Panics
    /// Before [`Self::plan`].
    pub fn declared(&self) -> &Declared {
        &self.planned.as_ref().expect("plan first").1
    }

    /// A whole step for samples at these times: latents, labels, taps, fields, parameters and buffers, all drawn from `seed`.
    ///
    /// # Panics
    /// Before [`Self::plan`].
    pub fn inputs(&self, seed: u64, times: &[f32]) -> Inputs {
        let (geometry, declared) = self.planned.as_ref().expect("plan first");
        Inputs::draw(geometry, declared, seed, times)
    }

    /// Runs a step.
    ///
    /// # Errors
    /// Those of the source and of its operations, and where its answer does not fit its plan.
    pub fn guide(&self, inputs: &Inputs) -> Result<Outcome, Error> {
        let (nothing, small) = (Declared::default(), crate::strategy::small());
        let (geometry, declared) = match &self.planned {
            Some((geometry, declared)) => (geometry, declared),
            // The source itself must refuse this.
            None => (&small, &nothing),
        };
        let session = session::open(inputs, geometry, declared);
        let handed = hand_over(inputs, declared);
        let answer = handed.and_then(|handed| self.instance.guide(session, inputs, &handed));
        if let Some(error) = session::close() {
            return Err(error);
        }
        let answer = answer?;
        let read = |what: &str, handle: Handle| {
            session::read(handle).map_err(|error| Error::new(format!("its {what}: {error}")))
        };
        let per_sample = |what: &str, handle: Handle| {
            let (value, leaves) = read(what, handle)?;
            match value.dtype == DType::F32 && value.shape == [inputs.batch()] {
                true => Ok((value.data, leaves)),
                false => Err(Error::new(format!(
                    "its {what} is {:?} {:?}, not f32 [{}]",
                    value.dtype,
                    value.shape,
                    inputs.batch()
                ))),
            }
        };
        let (loss, gradients) = per_sample("loss", answer.loss)?;
        let mut metrics = BTreeMap::new();
        for (index, handle) in answer.metrics {
            let name = declared
                .metrics
                .get(index)
                .ok_or("it gave a metric that it did not declare")?;
            let value = read(name, handle)?.0;
            let [number] = value.data[..] else {
                return Err(Error::new(format!(
                    "its metric `{name}` is {:?}, not one number",
                    value.shape
                )));
            };
            metrics.insert(name.clone(), number);
        }
        let mut buffers = BTreeMap::new();
        for (index, handle) in answer.buffers {
            let buffer = declared
                .buffers
                .get(index)
                .ok_or("it gave a buffer that it did not declare")?;
            let value = read(&buffer.name, handle)?.0;
            if value.shape != buffer.shape || value.dtype != buffer.dtype {
                return Err(Error::new(format!(
                    "its buffer `{}` is {:?} {:?}, declared {:?} {:?}",
                    buffer.name, value.dtype, value.shape, buffer.dtype, buffer.shape
                )));
            }
            buffers.insert(buffer.name.clone(), value);
        }
        let trace = session::last_step();
        Ok(Outcome {
            loss,
            denoising_weight: match answer.denoising_weight {
                0 => None,
                handle => Some(per_sample("weight on the denoising loss", handle)?.0),
            },
            metrics,
            buffers,
            gradients,
            passes: trace.passes,
            asked: trace.asked.iter().map(|asked| asked.operation).collect(),
        })
    }

    /// The losses of a step.
    ///
    /// # Errors
    /// As [`Self::guide`].
    pub fn loss(&self, inputs: &Inputs) -> Result<Vec<f64>, Error> {
        Ok(self.guide(inputs)?.loss)
    }
}

/// Takes everything of a step in, in the plan's order.
fn hand_over(inputs: &Inputs, declared: &Declared) -> Result<Handed, Error> {
    let plain = |value: &Value| session::enter(value.clone(), None);
    let ints = |numbers: &[i64]| {
        let numbers: Vec<f64> = numbers.iter().map(|n| *n as f64).collect();
        session::enter(Value::new([numbers.len()], numbers).of(DType::Int), None)
    };
    let absent = |what: String| Error::new(format!("the test's inputs have no {what}, which the plan declares"));
    let times: Vec<f64> = inputs.times.iter().map(|t| f64::from(*t)).collect();
    let mut handed = Handed {
        own: [
            plain(&inputs.x),
            plain(&inputs.noise),
            plain(&inputs.x_t),
            session::enter(Value::new([times.len()], times), None),
            plain(&inputs.velocity),
            ints(&inputs.labels),
            ints(&inputs.dropped),
        ],
        ..Handed::default()
    };
    for tap in declared.student_taps() {
        let value = inputs.taps.get(&tap).ok_or_else(|| absent(format!("tap {tap:?}")))?;
        handed.taps.push(session::enter(value.clone(), Some(Leaf::Tap(tap))));
    }
    let named = |what: &str, values: &BTreeMap<String, Value>, name: &str, leaf: Option<Leaf>| {
        let value = values.get(name).ok_or_else(|| absent(format!("{what} `{name}`")))?;
        Ok::<_, Error>(session::enter(value.clone(), leaf))
    };
    for name in &declared.fields {
        handed.fields.push(named("field", &inputs.fields, name, None)?);
    }
    for ParameterDeclared { name, trainable, .. } in &declared.parameters {
        let leaf = trainable.then(|| Leaf::Parameter(name.clone()));
        handed
            .parameters
            .push(named("parameter", &inputs.parameters, name, leaf)?);
    }
    for BufferDeclared { name, .. } in &declared.buffers {
        handed.buffers.push(named("buffer", &inputs.buffers, name, None)?);
    }
    Ok(handed)
}
