//! One step, as `guide` sees it.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use crate::abi::{Condition, DType, Distribution, Network, Operation, Shape, TapKind};
use crate::plan::undeclared;
use crate::shim::Session;
use crate::tensor::{Element, sized};
use crate::{Error, Geometry, Plan, Tensor};

/// One micro-batch of one optimiser step: what the plan declared, and the host's services. B is its batch; shapes
/// are `[B, C, H, W]` for latents and `[B, T, D]` for tokens; t = 0 is data, t = 1 is noise.
pub struct Step {
    pub(crate) geometry: Arc<Geometry>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) session: Rc<Session>,
    pub(crate) index: u64,
    pub(crate) batch: usize,
    pub(crate) own: Own,
    pub(crate) taps: Vec<Tensor>,
    pub(crate) fields: Vec<Tensor>,
    pub(crate) parameters: Vec<Tensor>,
    pub(crate) buffers: Vec<Tensor>,
    pub(crate) times: Vec<f32>,
    pub(crate) label_values: Vec<i64>,
    pub(crate) dropped_label_values: Vec<i64>,
    pub(crate) sample_ids: Vec<u64>,
}

/// Tensors that every step hands over, whatever the plan declares.
macro_rules! own {
    ($($(#[$doc:meta])+ $name:ident)+) => {
        pub(crate) struct Own {
            $(pub $name: Tensor,)+
        }

        impl Step {$(
            $(#[$doc])+
            pub fn $name(&self) -> Tensor {
                self.own.$name.clone()
            }
        )+}
    };
}
own! {
    /// Clean latents `[B, C, H, W]`.
    x
    /// Noise `[B, C, H, W]`.
    noise
    /// The student's input `[B, C, H, W]`.
    x_t
    /// Times `[B]`.
    t
    /// Velocity of the path `[B, C, H, W]`: for the linear one `noise - x`.
    velocity
    /// Labels before dropout `[B]`, integers.
    labels
    /// Labels after dropout `[B]`, integers.
    dropped_labels
}

/// Coefficients of the diffusion path, each of t's shape.
#[derive(Clone, Debug)]
pub struct PathCoefficients {
    /// Weight of the data in x_t.
    pub alpha: Tensor,
    /// Weight of the noise in x_t.
    pub sigma: Tensor,
    /// Derivative of alpha by t.
    pub d_alpha: Tensor,
    /// Derivative of sigma by t.
    pub d_sigma: Tensor,
}

impl Step {
    /// The optimiser step, counted from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// B, the samples of this call.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The geometry that the plan was made for.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The times as numbers, readable without a synchronisation: choose rows with these.
    pub fn times(&self) -> &[f32] {
        &self.times
    }

    /// Labels before dropout as numbers.
    pub fn label_values(&self) -> &[i64] {
        &self.label_values
    }

    /// Labels after dropout as numbers.
    pub fn dropped_label_values(&self) -> &[i64] {
        &self.dropped_label_values
    }

    /// Identities of the samples, the same in every epoch.
    pub fn sample_ids(&self) -> &[u64] {
        &self.sample_ids
    }

    /// The student's tokens `[B, T, D]` after block `depth`.
    ///
    /// # Errors
    /// If the plan did not declare it, like all that follow.
    pub fn tap(&self, depth: u32) -> Result<Tensor, Error> {
        self.student("tap", TapKind::Block, depth)
    }

    /// The student's output `[B, C, H, W]`.
    pub fn output(&self) -> Result<Tensor, Error> {
        let undeclared = |_| Error::new("the student's output was not declared in the plan");
        self.student("output", TapKind::Output, 0).map_err(undeclared)
    }

    /// The student's attention probabilities `[B, heads, T, T]` of block `depth`; rows are queries, and sum to 1.
    pub fn attention(&self, depth: u32) -> Result<Tensor, Error> {
        self.student("attention", TapKind::Attention, depth)
    }

    fn student(&self, what: &str, kind: TapKind, depth: u32) -> Result<Tensor, Error> {
        let mut taps = self.plan.taps.iter().filter(|tap| tap.network == Network::Student);
        let position = taps.position(|tap| tap.kind == kind && tap.depth == depth);
        let tensor = position.and_then(|position| self.taps.get(position).cloned());
        let declared = || self.plan.depths(Network::Student, kind);
        tensor.ok_or_else(|| undeclared(what, &format!("of depth {depth}"), declared()))
    }

    /// A field of the batch, `[B, …]`.
    pub fn field(&self, name: &str) -> Result<Tensor, Error> {
        find("batch field", name, &self.fields, &self.plan.fields, |field| field)
    }

    /// A parameter, in the compute type.
    pub fn parameter(&self, name: &str) -> Result<Tensor, Error> {
        find("parameter", name, &self.parameters, &self.plan.parameters, |of| {
            &of.name
        })
    }

    /// A buffer as the last step left it.
    pub fn buffer(&self, name: &str) -> Result<Tensor, Error> {
        find("buffer", name, &self.buffers, &self.plan.buffers, |of| &of.name)
    }

    /// Activations of the frozen teacher or the EMA network, `[R, T, D]`, one tensor for each depth, in one pass
    /// and without gradients. Row i of `x_t` `[R, C, H, W]` and `t` `[R]` belongs to sample `rows[i]` of the batch,
    /// whose condition is used as `conditions[i]` says. Ask for all that you need in one call.
    ///
    /// # Errors
    /// If the plan did not declare a depth of this network, or rows and conditions differ in number.
    #[track_caller]
    pub fn forward(
        &self,
        network: Network,
        x_t: impl Into<Tensor>,
        t: impl Into<Tensor>,
        depths: &[u32],
        rows: &[u32],
        conditions: &[Condition],
    ) -> Result<Vec<Tensor>, Error> {
        let inputs = [x_t.into(), t.into()];
        self.run(network, inputs, depths, false, rows, conditions, Location::caller())
    }

    /// The output `[R, C, H, W]` of the frozen teacher or the EMA network, with its activations at `depths` on the way
    /// there, which may be none. What it stands for is [`Geometry::prediction`]. Otherwise as [`Self::forward`].
    ///
    /// # Errors
    /// If the plan did not declare the output or a depth of this network, or rows and conditions differ in number.
    #[track_caller]
    pub fn forward_output(
        &self,
        network: Network,
        x_t: impl Into<Tensor>,
        t: impl Into<Tensor>,
        depths: &[u32],
        rows: &[u32],
        conditions: &[Condition],
    ) -> Result<(Tensor, Vec<Tensor>), Error> {
        let inputs = [x_t.into(), t.into()];
        let mut results = self.run(network, inputs, depths, true, rows, conditions, Location::caller())?;
        Ok((results.remove(0), results))
    }

    /// The output first, if it is asked for; then one result a depth.
    #[expect(clippy::too_many_arguments)]
    fn run(
        &self,
        network: Network,
        inputs: [Tensor; 2],
        depths: &[u32],
        output: bool,
        rows: &[u32],
        conditions: &[Condition],
        at: &'static Location<'static>,
    ) -> Result<Vec<Tensor>, Error> {
        if network == Network::Student {
            return Err(Error::new("the student is read through taps, not `forward`"));
        }
        let declared = self.plan.depths(network, TapKind::Block);
        if let Some(depth) = depths.iter().find(|depth| !declared.contains(depth)) {
            let asked = format!("of depth {depth}");
            return Err(undeclared(&format!("{network:?} tap"), &asked, declared));
        }
        if output && self.plan.depths(network, TapKind::Output).is_empty() {
            return Err(Error::new(format!(
                "the output of {network:?} was not declared in the plan"
            )));
        }
        if rows.len() != conditions.len() {
            return Err(Error::new(format!(
                "`forward` was given {} rows, but {} conditions",
                rows.len(),
                conditions.len()
            )));
        }
        let output = output.then_some((TapKind::Output, 0));
        let blocks = depths.iter().map(|depth| (TapKind::Block, *depth));
        let taps: Vec<_> = output.into_iter().chain(blocks).collect();
        Ok(self.session.forward(network, inputs, &taps, rows, conditions, at))
    }

    /// x_t of the path, `alpha(t) x + sigma(t) n`, for x and n `[R, …]` and t `[R]`.
    #[track_caller]
    pub fn diffuse(&self, x: impl Into<Tensor>, n: impl Into<Tensor>, t: impl Into<Tensor>) -> Tensor {
        let operands = [Some(x.into()), Some(n.into()), Some(t.into())];
        self.session.one(Operation::Diffuse, &operands, &(), Location::caller())
    }

    /// Coefficients of the path at times t.
    #[track_caller]
    pub fn path_coefficients(&self, t: impl Into<Tensor>) -> PathCoefficients {
        let (operands, at) = ([Some(t.into())], Location::caller());
        let results = self.session.many(Operation::PathCoefficients, &operands, &(), 4, at);
        let [alpha, sigma, d_alpha, d_sigma] = results.try_into().expect("as many as were asked for");
        PathCoefficients {
            alpha,
            sigma,
            d_alpha,
            d_sigma,
        }
    }

    /// Draws for each sample, `[B, shape…]` in f32: a function of seed, source, step, sample and tag, whatever was
    /// drawn before. The same tag twice gives the same numbers.
    #[track_caller]
    pub fn random(&self, tag: &str, distribution: Distribution, shape: impl AsRef<[usize]>) -> Tensor {
        self.session
            .random(tag, distribution, shape.as_ref(), Location::caller())
    }

    /// A loss of 0 for every sample, f32 `[B]`.
    #[track_caller]
    pub fn zeros_per_sample(&self) -> Tensor {
        self.full([self.batch], 0.0)
    }

    /// An f32 tensor of one value.
    #[track_caller]
    pub fn full(&self, shape: impl AsRef<[usize]>, value: f64) -> Tensor {
        let full = Shape::of(shape.as_ref()).map(|shape| {
            sized!(Full {
                value,
                dtype: DType::F32 as u32,
                reserved: 0,
                shape,
            })
        });
        self.session.one(Operation::Full, &[], &full, Location::caller())
    }

    /// Numbers copied to the device: `f32` make floats, `i64` integers, `u8` a mask.
    #[track_caller]
    pub fn upload<E: Element>(&self, data: &[E], shape: impl AsRef<[usize]>) -> Tensor {
        let (extents, at) = (shape.as_ref(), Location::caller());
        if extents.iter().product::<usize>() != data.len() {
            let message = format!("{} numbers do not fill a shape of {extents:?}", data.len());
            return self.session.failure(at, &message);
        }
        self.session.upload(data, extents, at)
    }
}

fn find<T>(
    what: &str,
    name: &str,
    tensors: &[Tensor],
    declared: &[T],
    name_of: impl Fn(&T) -> &String,
) -> Result<Tensor, Error> {
    let mut both = declared.iter().map(&name_of).zip(tensors);
    let found = both.find(|(known, _)| *known == name);
    let unknown = || undeclared(what, &format!("{name:?}"), declared.iter().map(&name_of));
    found.map(|(_, tensor)| tensor.clone()).ok_or_else(unknown)
}
