//! Pictures of what is at each depth: tokens of the same few images as colours, for every network alike.
//!
//! Components are fitted to the tokens of some 64 held-out images, and a few of these are shown. [`colours`](super::colours)
//! tells what a colour means: it can be compared between images of one picture; between pictures, its pattern can.

use super::colours::{Coordinates, colours, coordinates, turned, without_places};
use super::extraction::{FeatureExtraction, LabelMode, at};
use super::guided::{Guided, Target, sharpened};
use super::representations::spread;
use crate::Error;
use sextant_model::Sit;
use sextant_recipe::RepresentationsRecipe;
use sextant_records::evaluation::{Map, MapOf};
use sextant_stats::measure::{Features, MeasureError};
use sextant_train::sample::grid_png;

/// Held-out images, beside those that are shown, whose tokens components are fitted to.
const FITTED: usize = 64;

/// The pictures of a network and of what the teacher of its last phase gave: encoded PNGs, by time, images first, then
/// the network by depth, then the teacher. Each has the shown images side by side, a token a square, as large as the
/// images themselves, enlarged as sample grids are. Empty where no image is held out.
///
/// [`MapOf::Images`] has the images in its first row and x_t in its second; data of other than three channels has none.
///
/// # Errors
/// A network that gives no numbers, or lacks the depth.
pub fn maps(
    network: &Sit,
    extraction: FeatureExtraction,
    recipe: &RepresentationsRecipe,
    guided: Option<&Guided>,
) -> Result<Vec<(Map, Vec<u8>)>, Error> {
    let shown = match extraction.dataset.held_out() {
        [] => return Ok(Vec::new()),
        ids => spread(ids, recipe.pictures),
    };
    let sheet = Sheet::new(network, extraction, &shown)?;
    let mut maps = Vec::new();
    for &t in &recipe.times {
        maps.extend(sheet.images(t)?);
        let depths: Vec<usize> = (0..=network.config().depth).collect();
        let tokens = extraction.tokens(network, &sheet.fitted, t, LabelMode::Null, &depths)?;
        for (depth, tokens) in tokens.iter().enumerate() {
            maps.push(sheet.picture(MapOf::Student, depth, t, tokens)?);
        }
        if let Some(guided) = guided {
            maps.extend(sheet.teacher(guided, t)?);
        }
    }
    Ok(maps)
}

/// The common part of all pictures of a call.
struct Sheet<'a> {
    extraction: FeatureExtraction<'a>,
    /// Images whose tokens components are fitted to; the first are those that are shown.
    fitted: Vec<usize>,
    /// Number of images that are shown.
    shown: usize,
    /// Tokens in a row of the grid.
    grid: usize,
    /// Side of a patch.
    patch: usize,
    /// The colour of every patch of the fitted images, up to a factor: what every picture is turned towards.
    colours: Coordinates,
}

impl<'a> Sheet<'a> {
    fn new(network: &Sit, extraction: FeatureExtraction<'a>, shown: &[usize]) -> Result<Self, Error> {
        let others = spread(extraction.dataset.held_out(), FITTED);
        let mut fitted = shown.to_vec();
        fitted.extend(others.into_iter().filter(|id| !shown.contains(id)));
        let (grid, patch) = (network.config().grid(), network.config().patch_size);
        let mut patches = Vec::new();
        for &id in &fitted {
            let image = extraction.dataset.image(id)?;
            patches.extend(patch_colours(&image, extraction.dataset.shape(), patch));
        }
        Ok(Self {
            colours: centred(patches, grid * grid),
            extraction,
            shown: shown.len(),
            fitted,
            grid,
            patch,
        })
    }

    /// One picture of `tokens` `[fitted * T, D]`.
    fn picture(&self, of: MapOf, depth: usize, t: f64, tokens: &Features) -> Result<(Map, Vec<u8>), Error> {
        let (coordinates, explained) = self.coordinates(tokens).map_err(|error| at(depth, t, error))?;
        let colours = colours(&coordinates);
        let shown = &colours[..self.shown * self.grid * self.grid];
        let pixels: Vec<u8> = shown
            .chunks_exact(self.grid * self.grid)
            .flat_map(|image| squares(image, self.grid, self.patch))
            .collect();
        let png = grid_png(&pixels, self.grid * self.patch, self.shown)?;
        Ok((map(of, depth, t, explained), png))
    }

    /// Places of tokens along their components, turned towards the images' colours, and the share that these hold.
    fn coordinates(&self, tokens: &Features) -> Result<(Coordinates, f64), MeasureError> {
        let (own, explained) = coordinates(&without_places(tokens, self.grid * self.grid)?)?;
        Ok((turned(&own, &self.colours), explained))
    }

    /// The images that are shown, and x_t below.
    fn images(&self, t: f64) -> Result<Option<(Map, Vec<u8>)>, Error> {
        let (dataset, shown) = (self.extraction.dataset, &self.fitted[..self.shown]);
        let [channels, side, _] = dataset.shape();
        if channels != 3 {
            return Ok(None);
        }
        let diffused = self.extraction.diffused(shown, t)?.into_data();
        let mut values = dataset.gather(shown)?;
        values.extend(diffused.iter::<f32>());
        let png = grid_png(&dataset.to_pixels(&values)?, side, self.shown)?;
        Ok(Some((map(MapOf::Images, 0, t, 1.0), png)))
    }

    /// The teacher's tokens with each image's class, and as they guide.
    fn teacher(&self, guided: &Guided, t: f64) -> Result<Vec<(Map, Vec<u8>)>, Error> {
        let Target { depth, scale } = guided.target;
        let [conditional, unconditional] = self.extraction.guided(guided, &self.fitted, t)?;
        let mut maps = vec![self.picture(MapOf::TeacherConditional, depth, t, &conditional)?];
        if let Some(scale) = scale {
            let target = sharpened(&conditional, &unconditional, scale).map_err(|error| at(depth, t, error))?;
            maps.push(self.picture(MapOf::TeacherGuided, depth, t, &target)?);
        }
        Ok(maps)
    }
}

fn map(of: MapOf, depth: usize, t: f64, explained: f64) -> Map {
    let file = match of {
        MapOf::Images => format!("images-t-{t}.png"),
        MapOf::Student => format!("student-depth-{depth}-t-{t}.png"),
        MapOf::TeacherConditional => format!("teacher-conditional-depth-{depth}-t-{t}.png"),
        MapOf::TeacherGuided => format!("teacher-guided-depth-{depth}-t-{t}.png"),
    };
    Map {
        of,
        depth,
        t,
        file,
        explained,
    }
}

/// The sum of the first three channels over each patch of an image `[C, H, W]`, row by row.
fn patch_colours(image: &[f32], [channels, height, width]: [usize; 3], patch: usize) -> Vec<[f64; 3]> {
    let mut colours = vec![[0.0; 3]; (height / patch) * (width / patch)];
    for channel in 0..channels.min(3) {
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let place = row / patch * (width / patch) + column / patch;
            colours[place][channel] += f64::from(image[(channel * height + row) * width + column]);
        }
    }
    colours
}

/// Colours less their mean over the images at each of `places`, as tokens are.
fn centred(colours: Coordinates, places: usize) -> Coordinates {
    let mut mean = vec![[0.0; 3]; places];
    let images = colours.len() / places;
    for (at, colour) in colours.iter().enumerate() {
        (0..3).for_each(|channel| mean[at % places][channel] += colour[channel] / images as f64);
    }
    let less = |(at, colour): (usize, [f64; 3])| [0, 1, 2].map(|channel| colour[channel] - mean[at % places][channel]);
    colours.into_iter().enumerate().map(less).collect()
}

/// One image of `grid` by `grid` colours, a square of `side` pixels each, `[H, W, 3]`.
fn squares(colours: &[[u8; 3]], grid: usize, side: usize) -> Vec<u8> {
    let width = grid * side;
    let pixel = |at: usize| colours[at / width / side * grid + at % width / side];
    (0..width * width).flat_map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use burn::tensor::Device;

    use super::super::fixture;
    use super::*;
    use sextant_data::Dataset;
    use sextant_train::sample::GRID_SCALE;

    fn recipe(pictures: usize) -> RepresentationsRecipe {
        RepresentationsRecipe {
            times: vec![0.3],
            images: 0,
            pictures,
        }
    }

    fn drawn(dataset: &Dataset, guided: Option<&Guided>) -> Vec<(Map, Vec<u8>)> {
        let device = Device::flex();
        let network = fixture::network(1, &device);
        maps(&network, fixture::extraction(dataset, &device), &recipe(3), guided).unwrap()
    }

    #[test]
    fn every_depth_has_a_picture_of_the_images_size() {
        let dataset = fixture::dataset();
        let found = drawn(&dataset, None);
        let files: Vec<&str> = found.iter().map(|(map, _)| map.file.as_str()).collect();
        let depths = [
            "student-depth-0-t-0.3.png",
            "student-depth-1-t-0.3.png",
            "student-depth-2-t-0.3.png",
        ];
        assert_eq!(files, [&["images-t-0.3.png"], &depths[..]].concat());
        for (map, png) in &found {
            let image = image::load_from_memory(png).unwrap().to_rgb8();
            let rows = if map.of == MapOf::Images { 2 } else { 1 };
            assert_eq!(
                image.dimensions(),
                ((3 * 9 + 1) * GRID_SCALE, (rows * 9 + 1) * GRID_SCALE)
            );
            assert!(png.len() < 20_000, "{} bytes", png.len());
            assert!(map.explained > 0.0 && map.explained <= 1.0, "{map:?}");
            let colours: BTreeSet<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
            assert!(colours.len() > 10, "{}: {} colours", map.file, colours.len());
        }
        assert_eq!(drawn(&dataset, None), found);
    }

    #[test]
    fn a_student_is_not_told_classes_and_its_teacher_is() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let teacher = fixture::network(2, &device);
        let with = |scale| Guided {
            network: &teacher,
            target: Target { depth: 2, scale },
        };
        let found = drawn(&dataset, Some(&with(Some(1.0))));
        let [.., (conditional, of_class), (target, of_guided)] = &found[..] else {
            panic!()
        };
        assert_eq!((conditional.of, conditional.depth), (MapOf::TeacherConditional, 2));
        assert_eq!((target.of, target.depth), (MapOf::TeacherGuided, 2));
        let pixels = |png: &[u8]| image::load_from_memory(png).unwrap().to_rgb8().into_raw();
        // At scale 1 the target is the conditional, but for rounding.
        let (a, b) = (pixels(of_class), pixels(of_guided));
        assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 1));
        let (_, png) = drawn(&dataset, Some(&with(Some(30.0)))).pop().unwrap();
        assert_ne!(pixels(&png), b);
        let (map, _) = drawn(&dataset, Some(&with(None))).pop().unwrap();
        assert_eq!(map.of, MapOf::TeacherConditional);
    }

    #[test]
    fn a_depth_that_the_teacher_lacks_is_an_error() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let network = fixture::network(1, &device);
        let target = Target { depth: 3, scale: None };
        let guided = Guided {
            network: &network,
            target,
        };
        let extraction = fixture::extraction(&dataset, &device);
        let error = maps(&network, extraction, &recipe(3), Some(&guided)).unwrap_err();
        assert!(error.to_string().contains("has 2 blocks"), "{error}");
    }

    #[test]
    fn a_picture_of_the_colours_themselves_looks_like_the_images() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let network = fixture::network(1, &device);
        let extraction = fixture::extraction(&dataset, &device);
        let sheet = Sheet::new(&network, extraction, &dataset.held_out()[5..6]).unwrap();
        let tokens: Vec<f64> = sheet
            .colours
            .iter()
            .flat_map(|[r, g, b]| [2.0 * b, -r, 0.5 * g, 0.0])
            .collect();
        let tokens = Features::new(tokens, 4).unwrap();
        let (found, explained) = sheet.coordinates(&tokens).unwrap();
        assert!((explained - 1.0).abs() < 1e-9);
        for channel in 0..3 {
            let correlation = |a: &Coordinates, b: &Coordinates| {
                let sum = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
                let product = sum(&|i| a[i][channel] * b[i][channel]);
                product / (sum(&|i| a[i][channel].powi(2)) * sum(&|i| b[i][channel].powi(2))).sqrt()
            };
            let like = correlation(&found, &sheet.colours);
            assert!(like > 0.5, "channel {channel}: {like}");
        }
    }

    #[test]
    fn squares_are_laid_out_row_by_row() {
        let (a, b, c, d) = ([1; 3], [2; 3], [3; 3], [4; 3]);
        let row = |left: [u8; 3], right: [u8; 3]| [left, left, right, right].concat();
        let wanted = [row(a, b), row(a, b), row(c, d), row(c, d)].concat();
        assert_eq!(squares(&[a, b, c, d], 2, 2), wanted);
    }

    #[test]
    fn patches_have_the_summed_colour_of_their_pixels() {
        // One channel, two rows of four; the two channels that are missing are 0.
        let image = [1.0, 3.0, 0.0, 0.0, 5.0, 7.0, 0.0, 8.0];
        let found = patch_colours(&image, [1, 2, 4], 2);
        assert_eq!(found, [[16.0, 0.0, 0.0], [8.0, 0.0, 0.0]]);
        assert_eq!(centred(vec![[1.0; 3], [2.0; 3], [3.0; 3], [6.0; 3]], 2)[3], [2.0; 3]);
    }
}
