//! The operations that the tests need, on numbers in memory.

use std::ffi::c_void;

use sextant_plugin_api::abi::{self, *};

/// Numbers in row-major order; integers and masks are kept as f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
    pub dtype: DType,
}

impl Default for Value {
    fn default() -> Self {
        Self::new(&[1], vec![0.0])
    }
}

impl Value {
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "{shape:?}");
        Self {
            shape: shape.to_vec(),
            data,
            dtype: DType::F32,
        }
    }

    pub fn ints(data: &[f32]) -> Self {
        Self {
            dtype: DType::Int,
            ..Self::new(&[data.len()], data.to_vec())
        }
    }

    fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self {
            data: self.data.iter().map(|v| f(*v)).collect(),
            ..self.clone()
        }
    }

    /// The element at an index of a larger shape, to which extents of 1 are broadcast.
    fn at(&self, index: &[usize]) -> f32 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (i, extent)| {
            place * extent + if *extent == 1 { 0 } else { *i }
        });
        self.data[place]
    }
}

fn extents(shape: &Shape) -> Vec<usize> {
    shape.dims[..shape.rank as usize].iter().map(|d| *d as usize).collect()
}

fn build(shape: &[usize], mut element: impl FnMut(&[usize]) -> f32) -> Value {
    let mut index = vec![0; shape.len()];
    let mut data = Vec::new();
    for _ in 0..shape.iter().product() {
        data.push(element(&index));
        for (i, extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *extent {
                break;
            }
            *i = 0;
        }
    }
    Value::new(shape, data)
}

fn zip(a: &Value, b: &Value, f: impl Fn(f32, f32) -> f32) -> Result<Value, String> {
    let fits = |(x, y): (&usize, &usize)| x == y || *x == 1 || *y == 1;
    if a.shape.len() != b.shape.len() || !a.shape.iter().zip(&b.shape).all(fits) {
        return Err(format!("shapes {:?} and {:?} do not broadcast", a.shape, b.shape));
    }
    let shape: Vec<usize> = a.shape.iter().zip(&b.shape).map(|(x, y)| *x.max(y)).collect();
    Ok(build(&shape, |index| f(a.at(index), b.at(index))))
}

/// # Safety
/// The attributes are those of the operation.
pub unsafe fn run(operation: Operation, inputs: &[Option<Value>], attributes: *const c_void) -> Result<Value, String> {
    use Operation as O;
    let input = |index: usize| inputs[index].as_ref().ok_or("a missing operand");
    // SAFETY: the caller's promise, for each of these.
    let scalar = || unsafe { (*attributes.cast::<Scalar>()).value as f32 };
    Ok(match operation {
        O::Add => zip(input(0)?, input(1)?, |a, b| a + b)?,
        O::Sub => zip(input(0)?, input(1)?, |a, b| a - b)?,
        O::Mul => zip(input(0)?, input(1)?, |a, b| a * b)?,
        O::Div => zip(input(0)?, input(1)?, |a, b| a / b)?,
        O::AddScalar => input(0)?.map(|a| a + scalar()),
        O::MulScalar => input(0)?.map(|a| a * scalar()),
        O::PowScalar => input(0)?.map(|a| a.powf(scalar())),
        O::Neg => input(0)?.map(|a| -a),
        O::Exp => input(0)?.map(f32::exp),
        O::Sqrt => input(0)?.map(f32::sqrt),
        O::Silu => input(0)?.map(|a| a / (1.0 + (-a).exp())),
        O::Detach => input(0)?.clone(),
        O::Greater => zip(input(0)?, input(1)?, |a, b| f32::from(u8::from(a > b)))?,
        O::Clamp => {
            // SAFETY: as above.
            let range = unsafe { &*attributes.cast::<Range>() };
            input(0)?.map(|a| a.clamp(range.min as f32, range.max as f32))
        }
        O::Sum | O::Mean => {
            // SAFETY: as above.
            reduce(input(0)?, operation == O::Mean, unsafe { &*attributes.cast::<Dims>() })
        }
        O::Reshape => {
            // SAFETY: as above.
            let shape = extents(unsafe { &(*attributes.cast::<NewShape>()).shape });
            if shape.iter().product::<usize>() != input(0)?.data.len() {
                return Err(format!("{:?} cannot become {shape:?}", input(0)?.shape));
            }
            Value::new(&shape, input(0)?.data.clone())
        }
        O::Permute => {
            // SAFETY: as above.
            let dims = unsafe { &(*attributes.cast::<Dims>()).dims };
            let a = input(0)?;
            let shape: Vec<usize> = (0..a.shape.len()).map(|i| a.shape[dims[i] as usize]).collect();
            build(&shape, |index| {
                let mut from = vec![0; index.len()];
                (0..index.len()).for_each(|i| from[dims[i] as usize] = index[i]);
                a.at(&from)
            })
        }
        O::Slice => {
            // SAFETY: as above.
            let slice = unsafe { &*attributes.cast::<abi::Slice>() };
            let numbers: Vec<usize> = (slice.start..slice.end)
                .step_by(slice.step as usize)
                .map(|n| n as usize)
                .collect();
            rows(input(0)?, slice.dim as usize, &numbers)
        }
        O::Gather => {
            // SAFETY: as above.
            let dim = unsafe { (*attributes.cast::<Dim>()).dim };
            let numbers: Vec<usize> = input(1)?.data.iter().map(|n| *n as usize).collect();
            rows(input(0)?, dim as usize, &numbers)
        }
        O::Scatter => {
            // SAFETY: as above.
            let to = unsafe { &*attributes.cast::<ScatterTo>() };
            let (a, numbers) = (input(0)?, input(1)?);
            assert_eq!((to.dim, a.shape.len()), (0, 1), "the tests scatter vectors");
            let mut result = Value::new(&[to.count as usize], vec![0.0; to.count as usize]);
            for (value, row) in a.data.iter().zip(&numbers.data) {
                result.data[*row as usize] += value;
            }
            result
        }
        O::Linear => {
            let (x, weight) = (input(0)?, input(1)?);
            let width = weight.shape[1];
            if x.shape.last() != Some(&width) {
                return Err(format!("x is {:?}, the weight {:?}", x.shape, weight.shape));
            }
            let mut shape = x.shape.clone();
            *shape.last_mut().unwrap() = weight.shape[0];
            let mut data = Vec::new();
            for row in x.data.chunks(width) {
                for (out, column) in weight.data.chunks(width).enumerate() {
                    let dot: f32 = row.iter().zip(column).map(|(a, b)| a * b).sum();
                    data.push(dot + inputs[2].as_ref().map_or(0.0, |bias| bias.data[out]));
                }
            }
            Value::new(&shape, data)
        }
        O::LayerNorm => {
            let a = input(0)?;
            let width = *a.shape.last().unwrap();
            let normed = a.data.chunks(width).flat_map(|row| {
                let mean = row.iter().sum::<f32>() / width as f32;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / width as f32;
                let scale = 1.0 / (variance + scalar()).sqrt();
                row.iter().map(move |v| (v - mean) * scale).collect::<Vec<_>>()
            });
            Value::new(&a.shape, normed.collect())
        }
        O::Full => {
            // SAFETY: as above.
            let full = unsafe { &*attributes.cast::<Full>() };
            build(&extents(&full.shape), |_| full.value as f32)
        }
        O::Upload => {
            // SAFETY: as above.
            upload(unsafe { &*attributes.cast::<Upload>() })
        }
        O::Download => {
            // SAFETY: as above; the memory is as long as said.
            unsafe {
                let download = &*attributes.cast::<Download>();
                let data = &input(0)?.data;
                assert_eq!(download.bytes as usize, size_of_val(data.as_slice()));
                std::ptr::copy_nonoverlapping(data.as_ptr(), download.data.cast(), data.len());
            }
            Value::default()
        }
        other => return Err(format!("the tests' host has no {other:?}")),
    })
}

fn rows(a: &Value, dim: usize, numbers: &[usize]) -> Value {
    let mut shape = a.shape.clone();
    shape[dim] = numbers.len();
    build(&shape, |index| {
        let mut from = index.to_vec();
        from[dim] = numbers[index[dim]];
        // Extents of 1 are not broadcast here, but their only index is 0 all the same.
        a.at(&from)
    })
}

fn reduce(a: &Value, mean: bool, dims: &Dims) -> Value {
    let gone: Vec<usize> = dims.dims[..dims.len as usize].iter().map(|d| *d as usize).collect();
    let kept: Vec<usize> = (0..a.shape.len())
        .map(|d| if gone.contains(&d) { 1 } else { a.shape[d] })
        .collect();
    let mut sums = vec![0f64; kept.iter().product()];
    build(&a.shape, |index| {
        let place = index
            .iter()
            .zip(&kept)
            .fold(0, |p, (i, extent)| p * extent + if *extent == 1 { 0 } else { *i });
        sums[place] += f64::from(a.at(index));
        0.0
    });
    let count: usize = gone.iter().map(|d| a.shape[*d]).product();
    let divisor = if mean { count as f64 } else { 1.0 };
    let shape: Vec<usize> = if dims.keep == 1 {
        kept
    } else {
        (0..a.shape.len())
            .filter(|d| !gone.contains(d))
            .map(|d| a.shape[d])
            .collect()
    };
    Value::new(&shape, sums.into_iter().map(|sum| (sum / divisor) as f32).collect())
}

fn upload(attributes: &Upload) -> Value {
    let (shape, len) = (extents(&attributes.shape), attributes.data.len as usize);
    // SAFETY: the plugin passes as many elements of the type as it says.
    let data: Vec<f32> = unsafe {
        match DType::from_code(attributes.dtype).unwrap() {
            DType::Int => std::slice::from_raw_parts(attributes.data.ptr.cast::<i64>(), len)
                .iter()
                .map(|v| *v as f32)
                .collect(),
            _ => std::slice::from_raw_parts(attributes.data.ptr.cast::<f32>(), len).to_vec(),
        }
    };
    Value {
        dtype: DType::from_code(attributes.dtype).unwrap(),
        ..Value::new(&shape, data)
    }
}
