//! A step over ranks: gradients, losses, counts and buffers of all of them.

use std::ops::Range;
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use sextant_records::TeacherCounters;

use super::Ranks;
use crate::error::{StepError, caught};
use crate::objective::StepOutput;
use crate::worker::{Gradients, TrainModule, Worker};

/// Values of gradients that are added up at once: the host holds no more of them, and the next come from the device meanwhile.
const BUCKET: usize = 8 << 20;

impl Ranks {
    /// The gradient, the losses and the buffers of the whole batch, of which every rank has those of its own slice, with whatever else
    /// it has; on all ranks the same. `before` are the counts that the step began with, and `batch` its samples.
    ///
    /// Every rank has said first that its part is good, so that a fault changes nothing anywhere.
    ///
    /// # Errors
    /// A fault of any rank, buffers that do not agree, ranks that are lost.
    pub fn reduce<T>(
        &self,
        worker: &mut Worker,
        own: Result<(T, Gradients), StepError>,
        before: TeacherCounters,
        batch: usize,
    ) -> Result<(T, Gradients), StepError> {
        if self.count() == 1 {
            return own;
        }
        // What a device has to say about its part it says now, while the others can hear of it.
        let settled = own.and_then(|gradients| {
            caught(|| {
                worker
                    .device()
                    .sync()
                    .map_err(|error| StepError::Backend(error.to_string()))?;
                Ok(gradients)
            })
        });
        let began = Instant::now();
        let (own, Gradients { params, output, .. }) = self.agreed(settled)?;
        let device = worker.device().clone();
        let done = caught(|| {
            let (summed, sound) = match &worker.shards {
                None => self.sum_gradients(&*worker.module, params, &device)?,
                Some(shards) => shards.sum(&*worker.module, params, &device)?,
            };
            // With a factor on the loss, what overflows is left out, and is no rank's fault.
            let sound = sound || worker.loss_scale.is_some();
            let output = self.joined(output, sound, worker, before, batch)?;
            let squares = worker.shards.as_ref();
            let squares = squares.map(|shards| shards.squares(&*worker.module, &summed, &device));
            let squares = squares.transpose()?;
            self.agree_on_buffers(worker)?;
            let gradients = Gradients {
                params: summed,
                factor: None,
                squares,
                output,
            };
            Ok((own, gradients))
        });
        worker.seconds.ranks += began.elapsed().as_secs_f64();
        if let Err(StepError::Backend(_)) = done {
            // In the middle of an exchange nobody can be told.
            self.give_up();
        }
        done
    }

    /// The sums of all ranks' gradients, with whether all of this rank's own are finite.
    fn sum_gradients(
        &self,
        module: &TrainModule,
        own: GradientsParams,
        device: &Device,
    ) -> Result<(GradientsParams, bool), StepError> {
        let mut sums = Sums {
            ranks: self,
            own,
            device,
            bucket: Vec::new(),
            places: Vec::new(),
            summed: GradientsParams::new(),
            sound: true,
            error: None,
        };
        module.visit(&mut sums);
        sums.add_up();
        let Sums {
            summed, sound, error, ..
        } = sums;
        error.map_or(Ok((summed, sound)), Err)
    }

    /// The losses of all samples, in the order of the batch, and what is counted.
    fn joined(
        &self,
        own: StepOutput,
        sound: bool,
        worker: &mut Worker,
        before: TeacherCounters,
        batch: usize,
    ) -> Result<StepOutput, StepError> {
        let (device, counters, names) = (own.denoising.device(), worker.counters, worker.metric_names());
        let slice = self.slice(batch);
        let mut values = Values::default();
        let losses = std::iter::once(&own.denoising).chain(own.guidance.iter().map(|(_, loss)| loss));
        let losses: Vec<Vec<f32>> = losses.map(read).collect();
        let sound = sound && losses.iter().flatten().all(|loss| loss.is_finite());
        let losses = losses
            .into_iter()
            .map(|losses| values.place(batch, slice.clone(), losses));
        let losses: Vec<Range<usize>> = losses.collect();
        let of = |name: &String| {
            own.metrics
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| read(value)[0])
        };
        let metrics: Vec<(&String, Range<usize>)> = names
            .iter()
            .map(|name| {
                let value = of(name);
                (
                    name,
                    values.add([value.unwrap_or(0.0), if value.is_some() { 1.0 } else { 0.0 }]),
                )
            })
            .collect();
        let more = |now: u64, then: u64| (now - then) as f32;
        let counted = values.add([
            more(counters.rows, before.rows),
            more(counters.padded_rows, before.padded_rows),
            more(counters.calls, before.calls),
        ]);
        let unsound = values.place(
            self.count(),
            self.rank()..self.rank() + 1,
            vec![if sound { 0.0 } else { 1.0 }],
        );
        self.sum(&mut values.0)?;
        let all = values.0;

        let [rows, padded_rows, calls] = [0, 1, 2].map(|place| all[counted.start + place] as u64);
        worker.counters = TeacherCounters {
            rows: before.rows + rows,
            padded_rows: before.padded_rows + padded_rows,
            calls: before.calls + calls,
            seconds: counters.seconds,
        };
        if let Some(rank) = all[unsound].iter().position(|unsound| *unsound != 0.0) {
            self.note_unsound(rank);
        }
        let tensor = |place: &Range<usize>| {
            let values = all[place.clone()].to_vec();
            Tensor::<1>::from_data(TensorData::new(values, [place.len()]), &device)
        };
        let mut losses = losses.iter();
        let metrics = metrics.into_iter().filter(|(_, place)| all[place.start + 1] > 0.0);
        Ok(StepOutput {
            denoising: losses.next().map(&tensor).unwrap_or(own.denoising),
            guidance: own
                .guidance
                .into_iter()
                .zip(losses)
                .map(|((name, _), place)| (name, tensor(place)))
                .collect(),
            metrics: metrics
                .map(|(name, place)| {
                    let mean = all[place.start] / all[place.start + 1];
                    (name.clone(), Tensor::from_data([mean], &device))
                })
                .collect(),
        })
    }

    fn agree_on_buffers(&self, worker: &mut Worker) -> Result<(), StepError> {
        // The plans say so on every rank.
        if worker.buffers.is_empty() {
            return Ok(());
        }
        let working = worker.working.take().unwrap_or_else(|| worker.buffers.begun());
        // A rank that cannot tell would have the others wait.
        let own = self.agreed(working.told().map_err(StepError::from))?;
        let told = self.gather(own)?;
        let told: Vec<&[u8]> = told.iter().map(|told| told.as_slice()).collect();
        worker.working = Some(working.joined(&worker.buffers, &told)?);
        Ok(())
    }
}

/// Values of several kinds in a row, each with its place.
#[derive(Default)]
struct Values(Vec<f32>);

impl Values {
    fn add<const N: usize>(&mut self, values: [f32; N]) -> Range<usize> {
        self.place(N, 0..N, values.to_vec())
    }

    /// Room for `room` values, of which these are some; the others are 0, for other ranks add theirs.
    fn place(&mut self, room: usize, at: Range<usize>, values: Vec<f32>) -> Range<usize> {
        let start = self.0.len();
        self.0.resize(start + room, 0.0);
        self.0[start..][at].copy_from_slice(&values);
        start..start + room
    }
}

fn read(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().iter::<f32>().collect()
}

/// Takes the sum of a parameter's gradient into those of the step.
type Register = Box<dyn FnOnce(&mut GradientsParams, &[f32])>;

/// Adds up the gradients of a module's parameters, bucket after bucket.
struct Sums<'a> {
    ranks: &'a Ranks,
    own: GradientsParams,
    device: &'a Device,
    /// The gradients of some parameters one after another; behind each of them, the number of ranks that have one.
    bucket: Vec<f32>,
    places: Vec<(Range<usize>, Register)>,
    summed: GradientsParams,
    /// True while all own gradients are finite.
    sound: bool,
    error: Option<StepError>,
}

impl Sums<'_> {
    fn add_up(&mut self) {
        let (mut bucket, places) = (std::mem::take(&mut self.bucket), std::mem::take(&mut self.places));
        if self.error.is_some() {
            return;
        }
        if let Err(error) = self.ranks.sum(&mut bucket) {
            self.error = Some(error.into());
            return;
        }
        for (place, register) in places {
            // A parameter that no rank has a gradient of has none.
            if bucket[place.end] > 0.0 {
                register(&mut self.summed, &bucket[place]);
            }
        }
    }
}

impl ModuleVisitor for Sums<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.error.is_some() || !param.is_require_grad() {
            return;
        }
        let shape = param.dims();
        let (start, count) = (self.bucket.len(), shape.iter().product::<usize>());
        let own = self.own.remove::<D>(param.id);
        let is_there = own.is_some();
        match own {
            Some(gradient) => self.bucket.extend(gradient.into_data().iter::<f32>()),
            None => self.bucket.resize(start + count, 0.0),
        }
        self.sound &= self.bucket[start..].iter().all(|value| value.is_finite());
        self.bucket.push(if is_there { 1.0 } else { 0.0 });
        let (id, device) = (param.id, self.device.clone());
        let register: Register = Box::new(move |gradients, sum| {
            let sum = Tensor::<D>::from_data(TensorData::new(sum.to_vec(), shape), &device);
            gradients.register::<D>(id, sum);
        });
        self.places.push((start..start + count, register));
        if self.bucket.len() >= BUCKET {
            self.add_up();
        }
    }
}
