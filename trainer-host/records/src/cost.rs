//! Cost of a run: its time by part, the passes of other networks, and operations counted from shapes.

use serde::{Deserialize, Serialize};

/// Cost of a run, beside its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ComputeCost {
    /// Floating-point operations; none where they could not be counted.
    pub operations: Option<Operations>,
    /// Images of an optimiser step.
    pub images_per_step: u64,
    /// Images of all steps of earlier phases, repeats included.
    pub earlier_images: u64,
    /// Parameters of the last phase's teacher; 0 without one.
    pub teacher_parameters: u64,
    /// The making of the encoder, if a source reads its features.
    pub encoder: Option<EncoderCost>,
}

/// Floating-point operations, a multiplication and an addition being two, counted from shapes: matrix products,
/// convolutions and attention, not what is linear in the size of its operands. A backward pass is twice its forward pass, less
/// what nobody needs: the gradients of inputs and of frozen features. Diagnostics, validation and samples do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// A step's frozen networks that encode its images: an autoencoder, an encoder.
    #[serde(default)]
    pub encoding: f64,
    /// A step's student, forward and backward.
    pub student: f64,
    /// A step's forward passes of other networks, at the mean number of rows that they ran on.
    pub teacher: f64,
    /// A step's sources, forward and backward.
    pub guidance: f64,
    /// All steps of the last phase.
    pub last_phase: f64,
    /// All steps of earlier phases.
    pub earlier_phases: f64,
}

impl Operations {
    /// A whole step of the last phase.
    pub fn step(&self) -> f64 {
        self.encoding + self.student + self.teacher + self.guidance
    }
}

/// Mean seconds of a step of the last phase, by part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Waiting for data.
    pub data: f64,
    /// Frozen networks that encode the images of the step.
    #[serde(default)]
    pub encoding: f64,
    /// The student's forward pass and the denoising loss.
    pub student: f64,
    /// Forward passes of other networks.
    pub teacher: f64,
    /// The sources, without those passes.
    pub guidance: f64,
    /// The backward pass.
    pub backward: f64,
    /// Clipping, AdamW, moving average.
    pub update: f64,
}

impl Parts {
    /// The mean over `steps` steps that took `seconds` in all.
    pub fn mean(seconds: &Seconds, steps: u64) -> Self {
        let mean = |sum: f64| sum / steps.max(1) as f64;
        Self {
            data: mean(seconds.data),
            encoding: mean(seconds.encoding),
            student: mean(seconds.student),
            teacher: mean(seconds.teacher),
            guidance: mean(seconds.guidance),
            backward: mean(seconds.backward),
            update: mean(seconds.clip + seconds.update),
        }
    }
}

/// The making of an encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EncoderCost {
    /// Its parameters.
    pub parameters: u64,
    /// Floating-point operations of its training; none where they are not known.
    pub training_operations: Option<f64>,
    /// Floating-point operations of encoding the data once.
    pub encoding_operations: f64,
}

/// Seconds spent in the parts of steps. On devices that run asynchronously these are the times to launch;
/// the whole step's time is right everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Waiting for the loader.
    pub data: f64,
    /// Frozen networks that encode the images of a step: an autoencoder, an encoder.
    #[serde(default)]
    pub encoding: f64,
    /// The student's forward pass and the denoising loss.
    pub student: f64,
    /// Forward passes of other networks.
    pub teacher: f64,
    /// The sources, without those passes.
    pub guidance: f64,
    /// The backward pass.
    pub backward: f64,
    /// The gradients' norms.
    #[serde(default)]
    pub clip: f64,
    /// Scaling of the gradients, AdamW, moving averages.
    pub update: f64,
    /// Adding up with other ranks, and the wait for them.
    #[serde(default)]
    pub ranks: f64,
    /// Whole steps, without diagnostics, validation and checkpoints.
    pub step: f64,
}

/// Work of frozen networks on behalf of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TeacherCounters {
    /// Rows that sources asked for.
    pub rows: u64,
    /// Rows run beyond those, to fill up a size.
    pub padded_rows: u64,
    /// Forward passes.
    pub calls: u64,
    /// Wall time of the passes as the host saw it; on an asynchronous device the time to queue them.
    pub seconds: f64,
}

impl TeacherCounters {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.padded_rows += other.padded_rows;
        self.calls += other.calls;
        self.seconds += other.seconds;
    }
}

/// Seconds as a person writes them: `42 s`, `3 min 10 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "unknown".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_means_over_steps() {
        let seconds = Seconds {
            data: 1.0,
            encoding: 8.0,
            student: 2.0,
            teacher: 3.0,
            guidance: 4.0,
            backward: 5.0,
            clip: 0.5,
            ranks: 0.0,
            update: 5.5,
            step: 29.0,
        };
        let parts = Parts::mean(&seconds, 4);
        assert_eq!((parts.data, parts.teacher, parts.update), (0.25, 0.75, 1.5));
        assert_eq!(parts.encoding, 2.0);
        assert_eq!(Parts::mean(&Seconds::default(), 0), Parts::default());
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(41.6), "42 s");
        assert_eq!(duration(190.0), "3 min 10 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!(duration(f64::INFINITY), "unknown");
    }
}
