//! A step over ranks: gradients, losses, counts and buffers of all of them.

use std::ops::Range;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use sextant_records::TeacherCounters;

use super::Ranks;
use super::sums::sums;
use crate::error::{StepError, caught};
use crate::gradients::norm;
use crate::objective::StepOutput;
use crate::worker::{Gradients, Worker};

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
        let done = caught(|| {
            // With a factor on the loss, what overflows is left out, and is no rank's fault.
            let norm = match worker.loss_scale {
                Some(_) => None,
                None => norm(&*worker.module, &params),
            };
            let summed = match &worker.shards {
                None => sums(self, &*worker.module, params, worker.device())?,
                Some(shards) => shards.sum(&*worker.module, params, worker.device())?,
            };
            let sound = norm.is_none_or(|norm| norm.into_scalar::<f32>().is_finite());
            let output = self.joined(output, sound, worker, before, batch)?;
            let squares = worker.shards.as_ref();
            let squares = squares.map(|shards| shards.squares(&*worker.module, &summed, worker.device()));
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
        if let Err(StepError::Backend(reason)) = &done {
            // In the middle of an exchange nobody can be told.
            self.give_up(reason);
        }
        done
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
