//! AdamW's two moments of each parameter, and their file: burn's record of its own AdamW, by the parameters' ids.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bytes, DType, Device, Tensor, TensorData};
use burn_pack::{Reader, Scalar, Writer};
use sextant_records::FileError;

/// Names in the file, each behind a parameter's id.
const FIRST: &str = "momentum.moment_1";
const SECOND: &str = "momentum.moment_2";
const TIME: &str = "momentum.time";
const RANK: &str = "__rank";

/// The state of AdamW: the moments of each parameter that has had a gradient, by its id.
#[derive(Clone, Debug, Default)]
pub struct Moments(BTreeMap<u64, Moment>);

/// Moments as a file has them: tensors and steps of each parameter, by its id.
#[derive(Clone, Debug, Default)]
pub struct SavedMoments(BTreeMap<u64, ([TensorData; 2], usize)>);

impl SavedMoments {
    /// The same on `device`.
    pub(super) fn on(self, device: &Device) -> Moments {
        let moments = self.0.into_iter().map(|(id, (data, time))| {
            let shape = data[0].shape().to_vec();
            let count: usize = shape.iter().product();
            let tensors = data.map(|data| {
                let (bytes, _, dtype) = data.into_parts();
                Tensor::from_data(TensorData::from_bytes(bytes, [count], dtype), device)
            });
            (id, Moment { tensors, shape, time })
        });
        Moments(moments.collect())
    }
}

/// Reads the values of the first or of the second moment, as bytes of f32; an error in words.
pub type ReadMoment = Arc<dyn Fn(usize) -> Result<Vec<u8>, String> + Send + Sync>;

/// The moments of a parameter, wherever they are, for a file.
pub struct WrittenMoment {
    /// The parameter's shape.
    pub shape: Vec<usize>,
    /// Its steps so far.
    pub time: usize,
    /// Its values, read when their turn comes.
    pub read: ReadMoment,
}

/// The values of a tensor, as bytes of f32.
pub(super) fn bytes<const D: usize>(tensor: Tensor<D>) -> Vec<u8> {
    tensor.into_data().convert_dtype(DType::F32).as_bytes().to_vec()
}

/// The moments of one parameter.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The moving averages of its gradient and of that one's square: all values in a row, whatever the parameter's rank.
    tensors: [Tensor<1>; 2],
    /// Shape of the parameter.
    shape: Vec<usize>,
    /// Its steps so far.
    pub time: usize,
}

impl Moment {
    /// Of a parameter of this shape, before its first step.
    pub fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Self {
        let zeros = || Tensor::zeros([shape.iter().product::<usize>()], device);
        Self {
            tensors: [zeros(), zeros()],
            shape: shape.into(),
            time: 0,
        }
    }

    /// After so many steps.
    pub fn new<const D: usize>(tensors: [Tensor<D>; 2], time: usize) -> Self {
        Self {
            shape: tensors[0].dims().into(),
            tensors: tensors.map(|tensor| {
                let count = tensor.dims().iter().product::<usize>();
                tensor.reshape([count])
            }),
            time,
        }
    }

    /// In the parameter's shape.
    pub fn tensors<const D: usize>(self) -> [Tensor<D>; 2] {
        let mut shape = [1; D];
        shape.copy_from_slice(&self.shape);
        self.tensors.map(|tensor| tensor.reshape(shape))
    }
}

impl Moments {
    /// Takes those of a parameter, so that they can be changed in place; none before its first step.
    pub(super) fn take(&mut self, id: ParamId) -> Option<Moment> {
        self.0.remove(&id.val())
    }

    pub(super) fn put(&mut self, id: ParamId, moment: Moment) {
        self.0.insert(id.val(), moment);
    }

    /// The steps of a parameter so far; 0 where it has no moments here.
    pub fn time(&self, id: u64) -> usize {
        self.0.get(&id).map_or(0, |moment| moment.time)
    }

    /// The values of a parameter's first or second moment, as bytes of f32; none where it has none here.
    pub fn values(&self, which: usize, id: u64) -> Vec<u8> {
        let moment = self.0.get(&id);
        moment.map_or(Vec::new(), |moment| bytes(moment.tensors[which].clone()))
    }

    /// Writes them to `path`, and those of `others`, by their ids. Tensor by tensor: all of them as bytes would be half of what a training
    /// holds once more.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path, others: BTreeMap<u64, WrittenMoment>) -> Result<(), FileError> {
        let own = self.0.iter().map(|(id, moment)| {
            let tensors = moment.tensors.clone();
            let written = WrittenMoment {
                shape: moment.shape.clone(),
                time: moment.time,
                read: Arc::new(move |which| Ok(bytes(tensors[which].clone()))),
            };
            (*id, written)
        });
        let all: BTreeMap<u64, WrittenMoment> = own.chain(others).collect();
        let mut tensors = Vec::new();
        for (id, moment) in &all {
            for (which, name) in [FIRST, SECOND].into_iter().enumerate() {
                let read = moment.read.clone();
                tensors.push(burn_pack::Tensor::deferred(
                    format!("{id}.{name}"),
                    DType::F32,
                    moment.shape.clone(),
                    Some(*id),
                    moment.shape.iter().product::<usize>() * size_of::<f32>(),
                    move || {
                        read(which)
                            .map(Bytes::from_bytes_vec)
                            .map_err(burn_pack::Error::IoError)
                    },
                ));
            }
        }
        let writer = all.iter().fold(Writer::new(tensors), |writer, (id, moment)| {
            let with_time = writer.with_scalar(&format!("{id}.{TIME}"), Scalar::from(moment.time));
            with_time.with_scalar(&format!("{id}.{RANK}"), Scalar::from(moment.shape.len()))
        });
        let written = writer.write_to_file(path);
        written.map_err(|e| FileError::of_library(path, &e))
    }

    /// Reads those from `path` that are `meant`, by their parameters' ids.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub fn read(path: &Path, meant: impl Fn(u64) -> bool) -> Result<SavedMoments, FileError> {
        let fault = |e: burn_pack::Error| FileError::of_library(path, &e);
        let reader = Reader::from_file(path).map_err(fault)?;
        let scalars = reader.scalars().clone();
        let mut tensors = BTreeMap::new();
        for tensor in reader.into_tensors().map_err(fault)? {
            if !tensor.param_id.is_none_or(&meant) {
                continue;
            }
            let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(fault)?;
            if dtype != DType::F32 {
                return Err(FileError::new(
                    path,
                    format!("{name} is of {dtype:?}; moments are of F32"),
                ));
            }
            tensors.insert(name, TensorData::from_bytes(bytes, shape, dtype));
        }
        let mut moments = SavedMoments::default();
        for (name, value) in &scalars {
            let id = name.strip_suffix(TIME).and_then(|id| id.strip_suffix('.'));
            let id = id.and_then(|id| id.parse::<u64>().ok());
            let Some(id) = id.filter(|id| meant(*id)) else {
                continue;
            };
            let mut tensor = |field: &str| {
                let name = format!("{id}.{field}");
                tensors
                    .remove(&name)
                    .ok_or_else(|| FileError::new(path, format!("{name} is missing")))
            };
            let data = [tensor(FIRST)?, tensor(SECOND)?];
            let time = usize::try_from(*value);
            let time = time.map_err(|_| FileError::new(path, format!("{name} is {value:?}: it must count steps")))?;
            if data[0].shape() != data[1].shape() {
                return Err(FileError::new(
                    path,
                    format!("the moments of parameter {id} have two shapes"),
                ));
            }
            moments.0.insert(id, (data, time));
        }
        match tensors.into_keys().next() {
            Some(name) => Err(FileError::new(
                path,
                format!("{name} is no moment of AdamW with its time"),
            )),
            None => Ok(moments),
        }
    }

    /// Checks that they have the shapes of the parameters of `module` that they are of.
    ///
    /// # Errors
    /// Says which shape is another.
    pub(super) fn check(&self, module: &impl Module) -> Result<(), ShapeError> {
        struct Compared<'a> {
            moments: &'a Moments,
            found: Result<(), ShapeError>,
        }
        impl ModuleVisitor for Compared<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let moment = self.moments.0.get(&param.id.val());
                let wanted = param.dims();
                if let Some(moment) = moment.filter(|moment| moment.shape != wanted) {
                    self.found = Err(ShapeError {
                        id: param.id.val(),
                        found: moment.shape.clone(),
                        wanted: wanted.into(),
                    });
                }
            }
        }
        let mut compared = Compared {
            moments: self,
            found: Ok(()),
        };
        module.visit(&mut compared);
        compared.found
    }
}

/// Moments of a parameter of another shape.
#[derive(Debug, thiserror::Error)]
#[error("the moments of parameter {id} are of shape {found:?}, and the parameter of {wanted:?}")]
pub(super) struct ShapeError {
    id: u64,
    found: Vec<usize>,
    wanted: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Distribution, TensorData};

    use super::*;
    use burn::module::{Module, Param};

    #[derive(Module, Debug)]
    struct Two {
        matrix: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    fn values(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().iter::<f32>().collect()
    }

    /// A record of burn's own AdamW after two steps, in a file.
    fn of_burn(path: &Path) -> Two {
        let device = Device::flex().autodiff();
        let random = Tensor::<2>::random([3, 5], Distribution::Default, &device);
        let mut module = Two {
            matrix: Param::from_tensor(random),
            bias: Param::from_tensor(Tensor::<1>::ones([5], &device)),
        };
        let mut optimiser = AdamWConfig::new().init();
        for _ in 0..2 {
            let loss = (module.matrix.val().square().sum() + module.bias.val().square().sum()) * 0.5;
            let gradients = GradientsParams::from_grads(loss.backward(), &module);
            module = optimiser.step(0.1, module, gradients);
        }
        optimiser.to_record().save(path).unwrap();
        module
    }

    #[test]
    fn should_read_a_record_of_burn_and_write_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let [burn, ours] = ["burn.bpk", "ours.bpk"].map(|name| folder.path().join(name));
        let module = of_burn(&burn);
        let moments = Moments::read(&burn, |_| true).unwrap().on(&Device::flex());
        moments.check(&module).unwrap();
        assert_eq!(moments.0.len(), 2);
        let bias = &moments.0[&module.bias.id.val()];
        // Both gradients were the values: 1, and a little less.
        assert_eq!((bias.time, bias.shape.as_slice()), (2, &[5][..]));
        assert!((values(&bias.tensors[0])[0] - 0.18).abs() < 0.02, "{bias:?}");

        moments.write(&ours, BTreeMap::new()).unwrap();
        let parts = |path: &Path| {
            let reader = Reader::from_file(path).unwrap();
            let mut names: Vec<String> = reader.tensor_names().into_iter().map(str::to_owned).collect();
            names.sort();
            let data = names
                .iter()
                .map(|name| reader.tensor_data(name).unwrap())
                .collect::<Vec<_>>();
            (format!("{:?}", reader.scalars()), names, data)
        };
        assert_eq!(parts(&ours), parts(&burn));
    }

    #[test]
    fn should_say_what_is_wrong_with_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moments.bpk");
        let tensor = |name: &str, dtype: DType| {
            let data = TensorData::from([1.0_f32, 2.0]);
            burn_pack::Tensor::new(name.into(), dtype, [2], Some(7), data.into_parts().0)
        };
        let first = || tensor("7.momentum.moment_1", DType::F32);
        let time = |writer: Writer| writer.with_scalar("7.momentum.time", Scalar::Int(3));
        for (writer, words) in [
            (time(Writer::new(vec![first()])), "7.momentum.moment_2 is missing"),
            (Writer::new(vec![first()]), "7.momentum.moment_1 is no moment"),
            (
                time(Writer::new(vec![tensor("7.momentum.moment_1", DType::I32)])),
                "moments are of F32",
            ),
            (
                Writer::new(vec![first(), tensor("7.momentum.moment_2", DType::F32)])
                    .with_scalar("7.momentum.time", Scalar::Int(-3)),
                "it must count steps",
            ),
        ] {
            writer.write_to_file(&path).unwrap();
            let said = Moments::read(&path, |_| true).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("moments.bpk"), "{said}");
        }
    }

    #[test]
    fn should_refuse_moments_of_another_shape() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moments.bpk");
        let module = of_burn(&path);
        let moments = Moments::read(&path, |_| true).unwrap().on(&Device::flex());
        let other = Two {
            matrix: Param::initialized(module.matrix.id, Tensor::zeros([5, 3], &Device::flex())),
            bias: module.bias,
        };
        let said = moments.check(&other).unwrap_err().to_string();
        assert!(said.contains("[3, 5]") && said.contains("[5, 3]"), "{said}");
    }
}
