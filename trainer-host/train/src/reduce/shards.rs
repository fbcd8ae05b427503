//! Parts of what is trained, one a rank, of which that rank alone has moments and averages (ZeRO-1, arXiv 1910.02054, section 5.1).
//!
//! A part is made of whole parameters. So the square of a gradient is summed by one rank just as all of them would, a norm is that of ranks
//! that have everything to the bit, and a tensor of a checkpoint comes from one rank.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{Message, Ranks, Wanted, sum_of};
use crate::error::RankError;
use crate::gradients::{Squares, squares};
use crate::moments::{WrittenMoment, bytes};
use crate::owned::Owned;

/// Values of parameters that go between ranks at once: the host holds no more of them.
const ROUND: usize = 8 << 20;

/// The part of each of so many ranks: for parameters of these sizes, the rank that each belongs to. The largest comes first, and each goes
/// to the rank that has least by then.
pub fn owners(sizes: &[usize], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|parameter| Reverse(sizes[*parameter]));
    let (mut loads, mut owners) = (vec![0; ranks], vec![0; sizes.len()]);
    for parameter in order {
        let least = (0..ranks).min_by_key(|rank| loads[*rank]).unwrap_or_default();
        loads[least] += sizes[parameter];
        owners[parameter] = least;
    }
    owners
}

/// The parts of a module's trained parameters.
#[derive(Clone)]
pub struct Shards {
    ranks: Ranks,
    /// In the order of the module.
    parameters: Arc<[Parameter]>,
    owners: Arc<HashMap<ParamId, usize>>,
}

/// A trained parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its id.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The rank that has its moments and averages.
    pub owner: usize,
}

impl Shards {
    /// The parts of `module`, one for each of these ranks.
    pub fn of(module: &impl Module, ranks: &Ranks) -> Self {
        let shapes: Vec<_> = shapes(module, true);
        let sizes: Vec<usize> = shapes.iter().map(|(_, shape)| shape.iter().product()).collect();
        let parameters = shapes.into_iter().zip(owners(&sizes, ranks.count()));
        let parameters: Arc<[Parameter]> = parameters
            .map(|((id, shape), owner)| Parameter { id, shape, owner })
            .collect();
        Self {
            ranks: ranks.clone(),
            owners: Arc::new(
                parameters
                    .iter()
                    .map(|parameter| (parameter.id, parameter.owner))
                    .collect(),
            ),
            parameters,
        }
    }

    /// The parameters of this rank's part, in the order of the module.
    pub fn own(&self) -> impl Iterator<Item = &Parameter> {
        self.of_rank(self.ranks.rank())
    }

    fn of_rank(&self, rank: usize) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.owner == rank)
    }

    /// The other rank that has a parameter; none where this one has it, or all of them.
    pub fn elsewhere(&self, id: ParamId) -> Option<usize> {
        let owner = self.owners.get(&id).copied();
        owner.filter(|owner| *owner != self.ranks.rank())
    }

    /// So many bytes that another rank has, which [answers](Ranks::led_answering) in work that the first does for all.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn ask(&self, rank: usize, wanted: Wanted, bytes: usize) -> Result<Vec<u8>, RankError> {
        let heard = self.ranks.ask(rank, wanted, bytes)?;
        Ok(Arc::unwrap_or_clone(heard))
    }

    /// The moments that other ranks have, by their parameters' ids. Their values are asked for when they are read.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn moments_elsewhere(&self) -> Result<BTreeMap<u64, WrittenMoment>, RankError> {
        let mut moments = BTreeMap::new();
        for rank in (0..self.ranks.count()).filter(|rank| *rank != self.ranks.rank()) {
            let times = self.ask(rank, Wanted::Times, self.of_rank(rank).count() * size_of::<u64>())?;
            let (times, _) = times.as_chunks::<8>();
            let times = times.iter().map(|time| u64::from_ne_bytes(*time) as usize);
            for (parameter, time) in self.of_rank(rank).zip(times).filter(|(_, time)| *time > 0) {
                let (shards, id) = (self.clone(), parameter.id.val());
                let bytes = parameter.shape.iter().product::<usize>() * size_of::<f32>();
                let read = move |which| {
                    let values = shards.ask(rank, Wanted::Moment(which, id), bytes);
                    values.map_err(|error| error.to_string())
                };
                let moment = WrittenMoment {
                    shape: parameter.shape.clone(),
                    time,
                    read: Arc::new(read),
                };
                moments.insert(id, moment);
            }
        }
        Ok(moments)
    }

    /// Leaves of `module`, which is not trained itself, the values of this rank's part. Of others it keeps a zero, in their shape.
    pub fn keep_own(&self, module: &mut Owned<impl Module>) {
        struct Emptied<'a>(&'a Shards);
        impl ModuleMapper for Emptied<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                match self.0.elsewhere(param.id) {
                    None => param,
                    Some(_) => param.map(|value| Tensor::<D>::zeros([1; D], &value.device()).expand(value.dims())),
                }
            }
        }
        module.change(|module| module.map(&mut Emptied(self)));
    }

    /// Brings each rank's part of `module` to all others.
    ///
    /// # Errors
    /// Ranks that are lost; some of the parts are those from before then.
    pub fn gather(&self, module: &mut Owned<impl Module>) -> Result<(), RankError> {
        let rank = self.ranks.rank();
        for round in self.rounds(&**module, 0) {
            let mut own = Own {
                round: &round,
                rank,
                values: vec![0; round.bytes(rank)],
            };
            module.visit(&mut own);
            let lengths = (0..self.ranks.count()).map(|r| if r == rank { 0 } else { round.bytes(r) });
            let own = vec![Message::from(own.values); self.ranks.count()];
            let received = self.ranks.exchange(own, lengths.collect())?;
            let mut others = Others {
                round: &round,
                rank,
                received,
            };
            module.change(|module| module.map(&mut others));
        }
        Ok(())
    }

    /// Adds up the gradients of all ranks, in the order of ranks: those of this rank's part, on `device`.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn sum(
        &self,
        module: &impl Module,
        mut own: GradientsParams,
        device: &Device,
    ) -> Result<GradientsParams, RankError> {
        let (rank, ranks) = (self.ranks.rank(), self.ranks.count());
        let mut summed = GradientsParams::new();
        // Behind each gradient, the number of ranks that have one.
        for round in self.rounds(module, 1) {
            let mut taken = Taken {
                round: &round,
                own: &mut own,
                values: round.lengths.iter().map(|length| vec![0.0; *length]).collect(),
            };
            module.visit(&mut taken);
            let values = taken.values;
            let messages = values.iter().enumerate().map(|(r, values)| match r == rank {
                true => Message::default(),
                false => super::bytes(values).into(),
            });
            let length = size_of::<f32>() * round.lengths[rank];
            let lengths = (0..ranks).map(|r| if r == rank { 0 } else { length });
            let received = self.ranks.exchange(messages.collect(), lengths.collect())?;
            let sum = sum_of(rank, &values[rank], &received);
            module.visit(&mut Registered {
                round: &round,
                rank,
                sum,
                summed: &mut summed,
                device,
            });
        }
        Ok(summed)
    }

    /// The sums of squares of all ranks' parts of the gradients, of which this one has `own`, on `device`.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn squares(&self, module: &impl Module, own: &GradientsParams, device: &Device) -> Result<Squares, RankError> {
        let own = squares(module, own);
        let places: HashMap<ParamId, usize> = self.parameters.iter().map(|own| own.id).zip(0..).collect();
        let count = self.parameters.len();
        // Behind the sums, which of them there are.
        let mut values = vec![0.0; 2 * count];
        let (ids, sums): (Vec<_>, Vec<_>) = own.into_iter().unzip();
        if !sums.is_empty() {
            let sums = Tensor::cat(sums, 0).into_data();
            for (id, sum) in ids.into_iter().zip(sums.iter::<f32>()) {
                values[places[&id]] = sum;
                values[count + places[&id]] = 1.0;
            }
        }
        self.ranks.sum(&mut values)?;
        let sums = Tensor::<1>::from_data(TensorData::new(values[..count].to_vec(), [count]), device);
        let there = self
            .parameters
            .iter()
            .enumerate()
            .filter(|(place, _)| values[count + place] > 0.0);
        Ok(there
            .map(|(place, parameter)| (parameter.id, sums.clone().narrow(0, place, 1)))
            .collect())
    }

    /// The parted parameters of `module`, some of each rank at a time, with room for so many values `beside` each of them. The largest
    /// come first, so that ranks have about as much in each round.
    fn rounds(&self, module: &impl Module, beside: usize) -> Vec<Round> {
        let ranks = self.ranks.count();
        let mut parts = vec![Vec::new(); ranks];
        for (id, shape) in shapes(module, false) {
            if let Some(owner) = self.owners.get(&id) {
                parts[*owner].push((id, shape.iter().product::<usize>()));
            }
        }
        let largest_first = parts.into_iter().map(|mut part| {
            part.sort_by_key(|(_, size)| Reverse(*size));
            part.into_iter().peekable()
        });
        let mut parts: Vec<_> = largest_first.collect();
        let mut rounds = Vec::new();
        while parts.iter_mut().any(|part| part.peek().is_some()) {
            let mut round = Round {
                places: HashMap::new(),
                lengths: vec![0; ranks],
            };
            for (rank, (part, length)) in parts.iter_mut().zip(&mut round.lengths).enumerate() {
                while let Some((id, size)) = part.next_if(|_| *length < ROUND / ranks) {
                    let values = *length..*length + size;
                    *length = values.end + beside;
                    round.places.insert(id, Place { rank, values });
                }
            }
            rounds.push(round);
        }
        rounds
    }
}

/// Parameters that go between ranks together.
struct Round {
    places: HashMap<ParamId, Place>,
    /// The number of values of each rank.
    lengths: Vec<usize>,
}

/// The place of a parameter's values among those of its rank.
struct Place {
    rank: usize,
    values: Range<usize>,
}

impl Round {
    fn bytes(&self, rank: usize) -> usize {
        size_of::<f32>() * self.lengths[rank]
    }

    /// The place of a parameter that is of this rank, or is not.
    fn place(&self, id: ParamId, is_meant: impl Fn(usize) -> bool) -> Option<&Place> {
        self.places.get(&id).filter(|place| is_meant(place.rank))
    }
}

impl Place {
    fn bytes(&self) -> Range<usize> {
        size_of::<f32>() * self.values.start..size_of::<f32>() * self.values.end
    }
}

/// Id and shape of every parameter of a module, or of those that are trained.
fn shapes(module: &impl Module, only_trained: bool) -> Vec<(ParamId, Vec<usize>)> {
    struct Shapes {
        only_trained: bool,
        found: Vec<(ParamId, Vec<usize>)>,
    }
    impl ModuleVisitor for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() || !self.only_trained {
                self.found.push((param.id, param.dims().to_vec()));
            }
        }
    }
    let mut shapes = Shapes {
        only_trained,
        found: Vec::new(),
    };
    module.visit(&mut shapes);
    shapes.found
}

/// The values of the parameter of this id, as bytes of f32; none where the module has none.
pub(crate) fn value_of(module: &impl Module, id: ParamId) -> Vec<u8> {
    struct Value {
        id: ParamId,
        found: Vec<u8>,
    }
    impl ModuleVisitor for Value {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.id == self.id {
                self.found = bytes(param.val());
            }
        }
    }
    let mut value = Value { id, found: Vec::new() };
    module.visit(&mut value);
    value.found
}

/// Reads the values of a round that are this rank's.
struct Own<'a> {
    round: &'a Round,
    rank: usize,
    values: Vec<u8>,
}

impl ModuleVisitor for Own<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(place) = self.round.place(param.id, |rank| rank == self.rank) {
            self.values[place.bytes()].copy_from_slice(&bytes(param.val()));
        }
    }
}

/// Puts the values of a round that are other ranks' into their places.
struct Others<'a> {
    round: &'a Round,
    rank: usize,
    received: Vec<Message>,
}

impl ModuleMapper for Others<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(place) = self.round.place(param.id, |rank| rank != self.rank) else {
            return param;
        };
        let values = self.received[place.rank][place.bytes()].to_vec();
        param.map(|before| {
            let data = TensorData::from_bytes_vec(values, before.dims(), DType::F32);
            Tensor::from_data(data, (&before.device(), DType::F32)).set_require_grad(before.is_require_grad())
        })
    }
}

/// Takes the gradients of a round.
struct Taken<'a> {
    round: &'a Round,
    own: &'a mut GradientsParams,
    /// Of each rank's part.
    values: Vec<Vec<f32>>,
}

impl ModuleVisitor for Taken<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(Place { rank, values }) = self.round.places.get(&param.id) else {
            return;
        };
        if let Some(gradient) = self.own.remove::<D>(param.id) {
            let taken = gradient.into_data();
            let places = self.values[*rank][values.clone()].iter_mut();
            places
                .zip(taken.iter::<f32>())
                .for_each(|(place, value)| *place = value);
            self.values[*rank][values.end] = 1.0;
        }
    }
}

/// Takes the sums of a round into the gradients of the step.
struct Registered<'a> {
    round: &'a Round,
    rank: usize,
    sum: Vec<f32>,
    summed: &'a mut GradientsParams,
    device: &'a Device,
}

impl ModuleVisitor for Registered<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let place = self.round.place(param.id, |rank| rank == self.rank);
        // A parameter that no rank has a gradient of has none.
        if let Some(Place { values, .. }) = place.filter(|place| self.sum[place.values.end] > 0.0) {
            let sum = TensorData::new(self.sum[values.clone()].to_vec(), param.dims());
            self.summed.register::<D>(param.id, Tensor::from_data(sum, self.device));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::DispatchTensorKind;
    use burn::tensor::Distribution;

    use super::super::ranks::tests::on_ranks;
    use super::*;

    #[derive(Module, Debug)]
    struct Two {
        matrix: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    /// The bytes that a parameter of flex holds.
    fn held<const D: usize>(param: &Param<Tensor<D>>) -> usize {
        let DispatchTensorKind::Flex(tensor) = param.val().into_dispatch().kind else {
            panic!("a tensor of flex")
        };
        tensor.as_float().bytes().len()
    }

    #[test]
    fn a_rank_holds_its_part_and_all_have_everything_after_they_gathered() {
        let device = Device::flex();
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device);
        let whole = Two {
            matrix: Param::from_tensor(random([3, 50])),
            bias: Param::from_tensor(random([1, 40]).flatten::<1>(0, 1)),
        };
        let values = |module: &Two| [bytes(module.matrix.val()), bytes(module.bias.val())];
        let tracked = Device::flex().autodiff();
        let trained = || Two {
            matrix: Param::initialized(whole.matrix.id, Tensor::zeros([3, 50], &tracked).require_grad()),
            bias: Param::initialized(whole.bias.id, Tensor::zeros([40], &tracked).require_grad()),
        };
        for count in [2, 3] {
            let held = on_ranks(count, |ranks| {
                let shards = Shards::of(&trained(), &ranks);
                let mut module = Owned::new(whole.clone());
                shards.keep_own(&mut module);
                let held = [held(&module.matrix), held(&module.bias)];
                shards.gather(&mut module).unwrap();
                assert_eq!(values(&module), values(&whole));
                held
            });
            assert_eq!(held[0], [4 * 150, 4]);
            assert_eq!(held[1], [4, 4 * 40]);
            assert!(held[2..].iter().all(|held| *held == [4, 4]));
        }
    }

    #[test]
    fn parts_are_about_equal_and_each_parameter_has_one_rank() {
        let sizes: Vec<usize> = (0..40).map(|i| 1 + (i * 7919) % 1000).collect();
        let whole: usize = sizes.iter().sum();
        for ranks in 1..=8 {
            let owners = owners(&sizes, ranks);
            let loads = (0..ranks).map(|rank| {
                let own = sizes.iter().zip(&owners).filter(|(_, owner)| **owner == rank);
                own.map(|(size, _)| size).sum::<usize>()
            });
            let loads: Vec<usize> = loads.collect();
            assert_eq!(loads.iter().sum::<usize>(), whole);
            assert!(loads.iter().all(|load| *load < whole / ranks + 100), "{loads:?}");
        }
        // More ranks than parameters: some have none.
        assert_eq!(owners(&[5, 9, 5], 4), [1, 0, 2]);
    }
}
