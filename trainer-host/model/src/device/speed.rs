//! The speed of a device at what networks are made of.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};

use crate::cost::product;

/// Sides of the square matrices: the first fits into a processor's cache, the last fills a large GPU.
const SIDES: [usize; 5] = [512, 1024, 2048, 4096, 8192];

/// Seconds of a product that are long enough to be measured.
const ENOUGH: f64 = 0.02;

/// Products that are timed of a size, after one that is not.
const ROUNDS: usize = 5;

/// Floating-point operations a second that products of f32 matrices reach: the fastest of several sizes and rounds.
pub fn product_speed(device: &Device) -> f64 {
    let device = device.clone().inner();
    let mut fastest = 0.0f64;
    for side in SIDES {
        let matrix = || Tensor::<2>::random([side, side], Distribution::Default, &device);
        let (a, b) = (matrix(), matrix());
        let round = || {
            let started = Instant::now();
            let result = a.clone().matmul(b.clone());
            let done = device.sync();
            let seconds = started.elapsed().as_secs_f64();
            drop((result, done));
            seconds
        };
        round();
        let seconds = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
        fastest = fastest.max(product(side, side, side) as f64 / seconds);
        if seconds > ENOUGH {
            break;
        }
    }
    fastest
}
