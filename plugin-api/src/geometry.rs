//! Sizes and settings that are fixed before training starts.

use crate::Error;
use crate::abi::{DType, Network, PathKind, PredictionKind};
use crate::error::listed;

/// Sizes of the data and of the networks. A source reads it in `plan`, and again from the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Samples of one call of `guide`. The last batch of a pass may be smaller: in `guide`, ask the step.
    pub batch: usize,
    /// Latent channels C.
    pub channels: usize,
    /// Latent height H.
    pub height: usize,
    /// Latent width W.
    pub width: usize,
    /// Side p of a patch.
    pub patch: usize,
    /// Number of classes; the null class is this number.
    pub classes: usize,
    /// Meaning of the networks' outputs, the teacher's and the moving average's too. None on a host before 1.2.
    pub prediction: Option<PredictionKind>,
    /// The way from data to noise. None on a host before 1.2. Points and coefficients of the path are
    /// [`crate::Step::diffuse`]'s and [`crate::Step::path_coefficients`]'s to give, whatever it is.
    pub path: Option<PathKind>,
    pub(crate) student: NetworkGeometry,
    pub(crate) teacher: Option<NetworkGeometry>,
    pub(crate) ema: Option<NetworkGeometry>,
    pub(crate) fields: Vec<FieldGeometry>,
}

/// Sizes of one network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkGeometry {
    /// Number of blocks; depths count from 1 to it, and 0 is the embedding.
    pub depth: u32,
    /// Width D of the tokens.
    pub width: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Tokens before the grid's; 0 for a SiT.
    pub prefix_tokens: usize,
    /// Rows and columns of the token grid; tokens are ordered row by row.
    pub grid: [usize; 2],
}

impl NetworkGeometry {
    /// T, the extent of a tap's second dimension.
    pub fn tokens(&self) -> usize {
        self.prefix_tokens + self.grid[0] * self.grid[1]
    }

    /// The depth at `fraction` of the network, rounded to the nearest (half away from zero), at least 1:
    /// how published depths carry over to other sizes.
    pub fn depth_at(&self, fraction: f64) -> u32 {
        ((f64::from(self.depth) * fraction).round() as u32).max(1)
    }

    /// The published depth for a network of this size. `published` has pairs of a network's blocks and the depth in it, such
    /// as `[(12, 4), (28, 8)]`; another size takes the fraction of the nearest one, of two the smaller.
    ///
    /// # Panics
    /// If nothing is published.
    pub fn published_depth(&self, published: &[(u32, u32)]) -> u32 {
        let distance = |(blocks, _): &&(u32, u32)| (blocks.abs_diff(self.depth), *blocks);
        let nearest = published.iter().min_by_key(distance);
        let (blocks, depth) = nearest.expect("a published network");
        self.depth_at(f64::from(*depth) / f64::from(*blocks))
    }

    /// The depth that a configuration names, or else the [published one](Self::published_depth).
    ///
    /// # Panics
    /// If nothing is published.
    pub fn depth_or_published(&self, depth: Option<u32>, published: &[(u32, u32)]) -> u32 {
        depth.unwrap_or_else(|| self.published_depth(published))
    }
}

/// A batch field of the data set, such as an encoder's features.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldGeometry {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Shape of one sample, without the batch dimension.
    pub shape: Vec<usize>,
}

impl Geometry {
    /// A geometry of `batch` latents `[channels, height, width]` in patches of `patch`, without teacher, EMA
    /// or fields, whose networks predict the velocity of the linear path: a start for a source's own tests.
    pub fn new(batch: usize, latent: [usize; 3], patch: usize, student: NetworkGeometry) -> Self {
        Self {
            batch,
            channels: latent[0],
            height: latent[1],
            width: latent[2],
            patch,
            classes: 0,
            prediction: Some(PredictionKind::Velocity),
            path: Some(PathKind::Linear),
            student,
            teacher: None,
            ema: None,
            fields: Vec::new(),
        }
    }

    /// The same with another diffusion.
    pub fn with_diffusion(mut self, prediction: PredictionKind, path: PathKind) -> Self {
        (self.prediction, self.path) = (Some(prediction), Some(path));
        self
    }

    /// The same with a teacher.
    pub fn with_teacher(mut self, teacher: NetworkGeometry) -> Self {
        self.teacher = Some(teacher);
        self
    }

    /// The same with a moving average of the student.
    pub fn with_ema(mut self) -> Self {
        self.ema = Some(self.student);
        self
    }

    /// The same with a batch field of `shape` a sample.
    pub fn with_field(mut self, name: &str, dtype: DType, shape: &[usize]) -> Self {
        self.fields.push(FieldGeometry {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
        });
        self
    }

    /// The network in training.
    pub fn student(&self) -> &NetworkGeometry {
        &self.student
    }

    /// The frozen network that the phase names, if it names one.
    pub fn teacher(&self) -> Option<&NetworkGeometry> {
        self.teacher.as_ref()
    }

    /// The student's moving average, if the recipe keeps one.
    pub fn ema(&self) -> Option<&NetworkGeometry> {
        self.ema.as_ref()
    }

    /// The batch fields that the data has.
    pub fn fields(&self) -> &[FieldGeometry] {
        &self.fields
    }

    /// A network that the source cannot do without.
    ///
    /// # Errors
    /// If the recipe does not have it; the message says which setting gives one.
    pub fn network(&self, network: Network) -> Result<&NetworkGeometry, Error> {
        match network {
            Network::Student => Some(self.student()),
            Network::Teacher => self.teacher(),
            Network::Ema => self.ema(),
        }
        .ok_or_else(|| {
            Error::new(match network {
                Network::Teacher => {
                    "this source needs a frozen teacher: name an earlier phase as the phase's `teacher`"
                }
                _ => "this source needs the moving average of the student, which this run does not keep",
            })
        })
    }

    /// A batch field that the source cannot do without.
    ///
    /// # Errors
    /// If the data does not have it; the message lists the fields that it has.
    pub fn field(&self, name: &str) -> Result<&FieldGeometry, Error> {
        self.fields.iter().find(|field| field.name == name).ok_or_else(|| {
            let known = listed(self.fields.iter().map(|field| &field.name));
            Error::new(format!("the data has no batch field {name:?} (it has: {known})"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn student(depth: u32) -> NetworkGeometry {
        NetworkGeometry {
            depth,
            width: 32,
            heads: 4,
            prefix_tokens: 0,
            grid: [4, 4],
        }
    }

    #[test]
    fn a_missing_field_is_named_with_those_there_are() {
        let geometry = Geometry::new(4, [4, 8, 8], 2, student(4)).with_field("dino", DType::F32, &[16, 24]);
        assert_eq!(geometry.field("dino").unwrap().shape, [16, 24]);
        assert_eq!(
            geometry.field("features").unwrap_err().to_string(),
            "the data has no batch field \"features\" (it has: \"dino\")"
        );
    }

    #[test]
    fn a_missing_teacher_says_what_to_set() {
        let error = Geometry::new(4, [4, 8, 8], 2, student(4))
            .network(Network::Teacher)
            .unwrap_err();
        assert!(error.to_string().contains("`teacher`"));
    }

    #[test]
    fn fractions_of_a_depth_round_and_never_reach_the_embedding() {
        assert_eq!(student(12).depth_at(1.0 / 3.0), 4);
        assert_eq!(student(1).depth_at(1.0 / 6.0), 1);
        assert_eq!(student(28).depth_at(2.0 / 3.0), 19);
    }

    #[test]
    fn a_published_depth_is_exact_and_scales_from_the_nearest_network() {
        let depth = |blocks| student(blocks).published_depth(&[(12, 4), (24, 8), (28, 8)]);
        assert_eq!([12, 24, 28].map(depth), [4, 8, 8]);
        // A third of 3, 6 and 18 blocks (as near to 24: the smaller counts), two sevenths of 32.
        assert_eq!([3, 6, 18, 32].map(depth), [1, 2, 6, 9]);
        assert_eq!(
            student(20).published_depth(&[(28, 8), (12, 2)]),
            3,
            "the order is nothing"
        );
    }
}
