//! The sums of all ranks' gradients: on the devices, where those are connected, and through the memory of the host elsewhere.

use std::collections::VecDeque;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use sextant_interrupt as interrupt;

use super::Ranks;
use super::collective::{Collective, Summed, within};
use crate::error::{RankError, StepError};

/// Values of gradients that go over to others at once. A longer gradient goes alone, from its own memory; shorter ones are put in a row.
const BUCKET: usize = 1 << 18;

/// Buckets under way while the next comes from the device.
const AHEAD: usize = 2;

/// The sums over all ranks of the gradients that each has of its module. A parameter that no rank has a gradient of has none.
///
/// # Errors
/// Ranks that are lost, data that a device does not give.
pub(super) fn sums(
    ranks: &Ranks,
    module: &impl Module,
    own: GradientsParams,
    device: &Device,
) -> Result<GradientsParams, StepError> {
    let mut there = There {
        own: &own,
        counts: Vec::new(),
    };
    module.visit(&mut there);
    // How many ranks have a gradient of each parameter.
    let mut counts = there.counts;
    ranks.sum(&mut counts)?;
    let rest = Rest {
        own,
        counts: counts.into_iter(),
        device,
    };
    match ranks.collective() {
        Some(collective) => {
            let patience = ranks.patience();
            let late = move || {
                interrupt::say(&format!(
                    "error: the devices have not added up the gradients of a step within {} s (ranks.patience): one of them is lost, and the \
                     others cannot be called back; go on from the last checkpoint with --resume",
                    patience.as_secs()
                ));
                interrupt::end(1);
            };
            within(patience, late, || {
                let summed = OnDevices::sums(rest, &*collective, module);
                let done = device.sync().map_err(|error| StepError::Backend(error.to_string()));
                done.map(|()| summed)
            })
        }
        None => ThroughHost::sums(rest, ranks, module),
    }
}

/// Counts the gradients that are there: 1 or 0 for each parameter.
struct There<'a> {
    own: &'a GradientsParams,
    counts: Vec<f32>,
}

impl ModuleVisitor for There<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let is_there = self.own.get::<D>(param.id).is_some();
            self.counts.push(if is_there { 1.0 } else { 0.0 });
        }
    }
}

/// The gradients that are not added up yet.
struct Rest<'a> {
    own: GradientsParams,
    counts: std::vec::IntoIter<f32>,
    device: &'a Device,
}

impl Rest<'_> {
    /// This rank's gradient of the next parameter, if any rank has one.
    fn next<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Option<Tensor<D>>> {
        let is_somewhere = param.is_require_grad() && self.counts.next()? > 0.0;
        is_somewhere.then(|| self.own.remove::<D>(param.id))
    }
}

/// Takes a sum that has begun into those of the step.
type Registration = Box<dyn FnOnce(&mut GradientsParams)>;

/// Sums on the devices.
struct OnDevices<'a> {
    rest: Rest<'a>,
    collective: &'a dyn Collective,
    begun: Vec<Registration>,
}

impl<'a> OnDevices<'a> {
    fn sums(rest: Rest<'a>, collective: &'a dyn Collective, module: &impl Module) -> GradientsParams {
        let mut sums = Self {
            rest,
            collective,
            begun: Vec::new(),
        };
        module.visit(&mut sums);
        let mut summed = GradientsParams::new();
        for end in sums.begun {
            end(&mut summed);
        }
        summed
    }
}

impl ModuleVisitor for OnDevices<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(own) = self.rest.next(param) else { return };
        let (id, shape) = (param.id, param.dims());
        let own = own.unwrap_or_else(|| Tensor::zeros(shape, self.rest.device));
        let sum: Summed = self.collective.add_up(own.flatten(0, D - 1));
        self.begun
            .push(Box::new(move |summed| summed.register::<D>(id, sum().reshape(shape))));
    }
}

/// Takes the sum of a parameter's gradient into those of the step.
type Register = Box<dyn FnOnce(&mut GradientsParams, Vec<f32>)>;

/// Sums through the host, one bucket after another.
struct ThroughHost<'a> {
    rest: Rest<'a>,
    ranks: &'a Ranks,
    /// Short gradients in a row, each with its length.
    bucket: Vec<f32>,
    places: Vec<(usize, Register)>,
    under_way: VecDeque<Vec<(usize, Register)>>,
    summed: GradientsParams,
    error: Option<StepError>,
}

impl<'a> ThroughHost<'a> {
    fn sums(rest: Rest<'a>, ranks: &'a Ranks, module: &impl Module) -> Result<GradientsParams, StepError> {
        let mut sums = Self {
            rest,
            ranks,
            bucket: Vec::new(),
            places: Vec::new(),
            under_way: VecDeque::new(),
            summed: GradientsParams::new(),
            error: None,
        };
        module.visit(&mut sums);
        if let Some(error) = sums.error {
            return Err(error);
        }
        sums.begin_bucket()?;
        while !sums.under_way.is_empty() {
            sums.end()?;
        }
        Ok(sums.summed)
    }

    fn begin_bucket(&mut self) -> Result<(), RankError> {
        let (bucket, places) = (std::mem::take(&mut self.bucket), std::mem::take(&mut self.places));
        self.begin(bucket, places)
    }

    fn begin(&mut self, values: Vec<f32>, places: Vec<(usize, Register)>) -> Result<(), RankError> {
        self.ranks.add_up(values)?;
        self.under_way.push_back(places);
        match self.under_way.len() > AHEAD {
            true => self.end(),
            false => Ok(()),
        }
    }

    /// Waits for the first of the sums under way.
    fn end(&mut self) -> Result<(), RankError> {
        let mut values = self.ranks.summed()?;
        let places = self.under_way.pop_front().unwrap_or_default();
        // From the end, so that one alone is not copied.
        for (length, register) in places.into_iter().rev() {
            let sum = values.split_off(values.len() - length);
            register(&mut self.summed, sum);
        }
        Ok(())
    }

    fn add<const D: usize>(&mut self, param: &Param<Tensor<D>>, own: Option<Tensor<D>>) -> Result<(), StepError> {
        let (id, shape, device) = (param.id, param.dims(), self.rest.device.clone());
        let length = shape.iter().product::<usize>();
        let values = match own {
            Some(gradient) => read(gradient)?,
            None => vec![0.0; length],
        };
        let register: Register = Box::new(move |summed, sum| {
            let sum = Tensor::<D>::from_data(TensorData::new(sum, shape), &device);
            summed.register::<D>(id, sum);
        });
        if length >= BUCKET {
            self.begin(values, vec![(length, register)])?;
            return Ok(());
        }
        self.bucket.extend(values);
        self.places.push((length, register));
        if self.bucket.len() >= BUCKET {
            self.begin_bucket()?;
        }
        Ok(())
    }
}

impl ModuleVisitor for ThroughHost<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.error.is_some() {
            return;
        }
        if let Some(own) = self.rest.next(param) {
            self.error = self.add(param, own).err();
        }
    }
}

/// The values of a tensor; where they are in the host's memory already, the same memory.
fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, StepError> {
    let data = tensor
        .try_into_data()
        .map_err(|error| StepError::Backend(error.to_string()))?;
    data.try_into_vec_as::<f32>()
        .map_err(|error| StepError::Backend(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use burn::module::ParamId;

    use super::super::threads::threads;
    use super::*;

    /// Parameters of several lengths: some that are put in a row, one that goes alone.
    #[derive(Module, Debug)]
    struct Several {
        vectors: Vec<Param<Tensor<1>>>,
        matrix: Param<Tensor<2>>,
        last: Param<Tensor<1>>,
    }

    const LENGTHS: [usize; 4] = [1, 3, 70_001, 200_000];
    const WIDE: [usize; 2] = [3, 100_003];

    fn several(device: &Device) -> Several {
        let param = |id: u64, length: usize| Param::initialized(ParamId::from(id), Tensor::zeros([length], device));
        let param = |id, length| param(id, length).set_require_grad(true);
        Several {
            vectors: (0..).zip(LENGTHS).map(|(id, length)| param(id, length)).collect(),
            matrix: Param::initialized(ParamId::from(100), Tensor::zeros(WIDE, device)).set_require_grad(true),
            last: param(200, 5),
        }
    }

    fn value(rank: usize, i: usize) -> f32 {
        ((rank * 31 + i * 7) as f32).sin() * 1e3
    }

    fn has(rank: usize, place: usize) -> bool {
        // Of the second no rank has a gradient, of the third only the last but one.
        match place {
            1 => false,
            2 => rank == 1,
            _ => true,
        }
    }

    fn gradients(rank: usize, module: &Several, device: &Device) -> GradientsParams {
        let own = |length: usize| (0..length).map(|i| value(rank, i)).collect::<Vec<_>>();
        let mut gradients = GradientsParams::new();
        for (place, param) in module.vectors.iter().chain([&module.last]).enumerate() {
            if has(rank, place) {
                let [length] = param.dims();
                let gradient = Tensor::<1>::from_data(TensorData::new(own(length), [length]), device);
                gradients.register(param.id, gradient);
            }
        }
        let gradient = Tensor::<2>::from_data(TensorData::new(own(WIDE[0] * WIDE[1]), WIDE), device);
        gradients.register(module.matrix.id, gradient);
        gradients
    }

    /// Tensors that all ranks have handed in, each with its place.
    type HandedIn = Arc<(Mutex<Vec<Vec<Tensor<1>>>>, Condvar)>;

    /// A device that adds up with others, as far as the host can stand in for it.
    struct StandIn {
        rank: usize,
        all: HandedIn,
    }

    impl Collective for StandIn {
        fn add_up(&self, own: Tensor<1>) -> Summed {
            let (handed_in, changed) = &*self.all;
            let mut handed_in = handed_in.lock().unwrap();
            handed_in[self.rank].push(own);
            let place = handed_in[self.rank].len() - 1;
            changed.notify_all();
            let all = self.all.clone();
            Box::new(move || {
                let (handed_in, changed) = &*all;
                let handed_in = handed_in.lock().unwrap();
                let handed_in = changed
                    .wait_while(handed_in, |of| of.iter().any(|of| of.len() <= place))
                    .unwrap();
                let of_all = handed_in.iter().map(|of| of[place].clone());
                of_all.reduce(|sum, own| sum + own).unwrap()
            })
        }
    }

    /// The sums that each of so many ranks has, and with what they were to agree.
    fn on_ranks(count: usize, stand_in: bool) {
        let all = HandedIn::default();
        all.0.lock().unwrap().resize_with(count, Vec::new);
        std::thread::scope(|scope| {
            for (rank, link) in threads(count).into_iter().enumerate() {
                let collective = Arc::new(StandIn { rank, all: all.clone() });
                let link = link.with(stand_in.then_some(collective as Arc<dyn Collective>));
                scope.spawn(move || {
                    let device = Device::flex();
                    let module = several(&device.clone().autodiff());
                    let ranks = Ranks::join(Box::new(link), "here").unwrap();
                    let own = gradients(rank, &module, &device);
                    let mut sums = sums(&ranks, &module, own, &device).unwrap();
                    let wanted = |place: usize, length: usize| -> Vec<f32> {
                        let of = |r: usize, i| if has(r, place) { value(r, i) } else { 0.0 };
                        let sum = |i| (1..count).fold(of(0, i), |sum, r| sum + of(r, i));
                        (0..length).map(sum).collect()
                    };
                    for (place, param) in module.vectors.iter().chain([&module.last]).enumerate() {
                        let sum = sums.remove::<1>(param.id);
                        let there = (0..count).any(|r| has(r, place));
                        let sum = sum.map(|sum| sum.into_data().try_into_vec::<f32>().unwrap());
                        assert!(
                            sum == there.then(|| wanted(place, param.dims()[0])),
                            "{place} of {count}"
                        );
                    }
                    let sum = sums.remove::<2>(module.matrix.id).unwrap();
                    assert_eq!(sum.dims(), WIDE);
                    let sum = sum.into_data().try_into_vec::<f32>().unwrap();
                    assert!(sum == wanted(3, WIDE[0] * WIDE[1]));
                });
            }
        });
    }

    #[test]
    fn gradients_of_all_lengths_are_added_up_through_the_host() {
        for count in 2..=5 {
            on_ranks(count, false);
        }
    }

    #[test]
    fn gradients_are_added_up_on_devices_where_those_can() {
        for count in 2..=5 {
            on_ranks(count, true);
        }
    }
}
