//! Operations in burn's autodiff graph.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;

/// A function of `N` tensors with its derivative.
pub trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// The findings of forward that backward needs again. (The inputs are kept in any case.)
    type Kept: Clone + Debug + Send + 'static;

    /// The value.
    fn forward(&self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Kept);

    /// From the gradient with respect to the value, those with respect to the inputs, at least to the `wanted` ones.
    fn backward(
        &self,
        inputs: [FlexTensor; N],
        kept: Self::Kept,
        gradient: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// Applies an operation, and notes it in the graph of its inputs.
pub fn record<O: Operation<N>, C: CheckpointStrategy, const N: usize>(
    operation: O,
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let step = Step::<O>(PhantomData).prepare::<C>(nodes).compute_bound().stateful();
    match step {
        OpsKind::Tracked(mut step) => {
            let ids = inputs.each_ref().map(|input| step.checkpoint(input));
            let (output, kept) = operation.forward(inputs.map(|input| input.into_primitive()));
            let state = State { operation, ids, kept };
            step.finish(state, output)
        }
        OpsKind::UnTracked(step) => step.finish(operation.forward(inputs.map(|input| input.into_primitive())).0),
    }
}

/// The backward pass of an operation.
#[derive(Debug)]
struct Step<O>(PhantomData<O>);

#[derive(Clone, Debug)]
struct State<O, K, const N: usize> {
    operation: O,
    ids: [NodeId; N],
    kept: K,
}

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = State<O, O::Kept, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let State { operation, ids, kept } = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node);
        let inputs = ids.map(|id| checkpointer.retrieve_node_output::<FlexTensor>(id));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = operation.backward(inputs, kept, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
