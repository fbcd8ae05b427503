//! The layers of Inception v3 (arXiv 1512.00567) under torchvision's names, with the patches of pytorch-fid.
//!
//! The patches make torchvision's network the one of TensorFlow that FID was published with: its average pools do not count their
//! padding, and the last block pools by the maximum.

/// Channels of the first convolution.
pub const FIRST: usize = 32;

/// Full name of the first convolution.
pub const FIRST_NAME: &str = "Conv2d_1a_3x3";

/// Channels at the end, which are the features.
pub const FEATURES: usize = 2048;

/// A convolution without bias; a batch norm and a rectifier follow it.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// Its name, such as `Mixed_5b.branch1x1`.
    pub name: String,
    /// `[out, in, height, width]`
    pub shape: [usize; 4],
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: [usize; 2],
}

/// A step of a branch; `C` is a convolution's description, or its weights.
#[derive(Debug, Clone)]
pub enum Step<C> {
    Convolution(C),
    /// Two convolutions of the same input, side by side.
    Fork([C; 2]),
    /// The mean of the 3 x 3 around every place, of those that there are.
    Mean,
    /// The maximum of 3 x 3.
    Maximum {
        stride: usize,
        padding: usize,
    },
}

/// Steps one after another.
pub type Branch<C> = Vec<Step<C>>;

/// Branches of one input, side by side.
pub type Block<C> = Vec<Branch<C>>;

impl<C> Step<C> {
    /// The convolutions in it.
    pub fn convolutions(&self) -> &[C] {
        match self {
            Self::Convolution(convolution) => std::slice::from_ref(convolution),
            Self::Fork(pair) => pair,
            Self::Mean | Self::Maximum { .. } => &[],
        }
    }

    /// The same with other convolutions.
    pub fn map<D>(self, map: &mut impl FnMut(C) -> D) -> Step<D> {
        match self {
            Self::Convolution(convolution) => Step::Convolution(map(convolution)),
            Self::Fork(pair) => Step::Fork(pair.map(map)),
            Self::Mean => Step::Mean,
            Self::Maximum { stride, padding } => Step::Maximum { stride, padding },
        }
    }
}

/// All blocks in their order, every width divided by `divisor`, which must divide 16.
pub fn blocks(divisor: usize) -> Vec<Block<Convolution>> {
    let mut channels = 3;
    let mut blocks = Vec::new();
    let mut add = |name: &str, branches: &dyn Fn(Draft) -> Vec<Draft>| {
        let branches = branches(Draft::new(name, channels, divisor));
        channels = branches.iter().map(|branch| branch.channels).sum();
        blocks.push(branches.into_iter().map(|branch| branch.steps).collect());
    };
    add("", &|x| vec![stem(x)]);
    add("Mixed_5b", &|x| a(x, 32));
    add("Mixed_5c", &|x| a(x, 64));
    add("Mixed_5d", &|x| a(x, 64));
    add("Mixed_6a", &b);
    add("Mixed_6b", &|x| c(x, 128));
    add("Mixed_6c", &|x| c(x, 160));
    add("Mixed_6d", &|x| c(x, 160));
    add("Mixed_6e", &|x| c(x, 192));
    add("Mixed_7a", &d);
    add("Mixed_7b", &|x| e(x.clone(), x.mean()));
    add("Mixed_7c", &|x| e(x.clone(), x.maximum(1, 1)));
    blocks
}

fn stem(x: Draft) -> Draft {
    x.cut(FIRST_NAME, FIRST, 3, 2)
        .cut("Conv2d_2a_3x3", 32, 3, 1)
        .same("Conv2d_2b_3x3", 64, [3, 3])
        .maximum(2, 0)
        .same("Conv2d_3b_1x1", 80, [1, 1])
        .cut("Conv2d_4a_3x3", 192, 3, 1)
        .maximum(2, 0)
}

fn a(x: Draft, pool: usize) -> Vec<Draft> {
    vec![
        x.clone().same("branch1x1", 64, [1, 1]),
        x.clone()
            .same("branch5x5_1", 48, [1, 1])
            .same("branch5x5_2", 64, [5, 5]),
        x.clone()
            .same("branch3x3dbl_1", 64, [1, 1])
            .same("branch3x3dbl_2", 96, [3, 3])
            .same("branch3x3dbl_3", 96, [3, 3]),
        x.mean().same("branch_pool", pool, [1, 1]),
    ]
}

fn b(x: Draft) -> Vec<Draft> {
    vec![
        x.clone().cut("branch3x3", 384, 3, 2),
        x.clone()
            .same("branch3x3dbl_1", 64, [1, 1])
            .same("branch3x3dbl_2", 96, [3, 3])
            .cut("branch3x3dbl_3", 96, 3, 2),
        x.maximum(2, 0),
    ]
}

fn c(x: Draft, inner: usize) -> Vec<Draft> {
    vec![
        x.clone().same("branch1x1", 192, [1, 1]),
        x.clone()
            .same("branch7x7_1", inner, [1, 1])
            .same("branch7x7_2", inner, [1, 7])
            .same("branch7x7_3", 192, [7, 1]),
        x.clone()
            .same("branch7x7dbl_1", inner, [1, 1])
            .same("branch7x7dbl_2", inner, [7, 1])
            .same("branch7x7dbl_3", inner, [1, 7])
            .same("branch7x7dbl_4", inner, [7, 1])
            .same("branch7x7dbl_5", 192, [1, 7]),
        x.mean().same("branch_pool", 192, [1, 1]),
    ]
}

fn d(x: Draft) -> Vec<Draft> {
    vec![
        x.clone().same("branch3x3_1", 192, [1, 1]).cut("branch3x3_2", 320, 3, 2),
        x.clone()
            .same("branch7x7x3_1", 192, [1, 1])
            .same("branch7x7x3_2", 192, [1, 7])
            .same("branch7x7x3_3", 192, [7, 1])
            .cut("branch7x7x3_4", 192, 3, 2),
        x.maximum(2, 0),
    ]
}

fn e<'a>(x: Draft<'a>, pooled: Draft<'a>) -> Vec<Draft<'a>> {
    vec![
        x.clone().same("branch1x1", 320, [1, 1]),
        x.clone()
            .same("branch3x3_1", 384, [1, 1])
            .fork(["branch3x3_2a", "branch3x3_2b"], 384),
        x.same("branch3x3dbl_1", 448, [1, 1])
            .same("branch3x3dbl_2", 384, [3, 3])
            .fork(["branch3x3dbl_3a", "branch3x3dbl_3b"], 384),
        pooled.same("branch_pool", 192, [1, 1]),
    ]
}

/// A branch as it is laid down.
#[derive(Clone)]
struct Draft<'a> {
    block: &'a str,
    divisor: usize,
    /// Channels so far.
    channels: usize,
    steps: Branch<Convolution>,
}

impl<'a> Draft<'a> {
    fn new(block: &'a str, channels: usize, divisor: usize) -> Self {
        let steps = Vec::new();
        Self {
            block,
            divisor,
            channels,
            steps,
        }
    }

    fn convolution(&self, name: &str, to: usize, kernel: [usize; 2]) -> Convolution {
        let name = match self.block {
            "" => name.to_owned(),
            block => format!("{block}.{name}"),
        };
        Convolution {
            name,
            shape: [to / self.divisor, self.channels, kernel[0], kernel[1]],
            stride: 1,
            padding: kernel.map(|side| side / 2),
        }
    }

    fn with(mut self, step: Step<Convolution>) -> Self {
        let convolutions = step.convolutions();
        if !convolutions.is_empty() {
            self.channels = convolutions.iter().map(|convolution| convolution.shape[0]).sum();
        }
        self.steps.push(step);
        self
    }

    /// A convolution that keeps the grid.
    fn same(self, name: &str, to: usize, kernel: [usize; 2]) -> Self {
        let convolution = self.convolution(name, to, kernel);
        self.with(Step::Convolution(convolution))
    }

    /// A convolution without padding.
    fn cut(self, name: &str, to: usize, kernel: usize, stride: usize) -> Self {
        let convolution = Convolution {
            stride,
            padding: [0, 0],
            ..self.convolution(name, to, [kernel; 2])
        };
        self.with(Step::Convolution(convolution))
    }

    /// A row of three and a column of three.
    fn fork(self, [row, column]: [&str; 2], to: usize) -> Self {
        let pair = [self.convolution(row, to, [1, 3]), self.convolution(column, to, [3, 1])];
        self.with(Step::Fork(pair))
    }

    fn mean(self) -> Self {
        self.with(Step::Mean)
    }

    fn maximum(self, stride: usize, padding: usize) -> Self {
        self.with(Step::Maximum { stride, padding })
    }
}
