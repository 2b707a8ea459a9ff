//! Where the pixels of a pass lie: listed, or evenly one after the other.

/// Where an output pixel's input and output lie, in floats from the image group's beginning.
#[derive(Debug, Clone, Copy)]
pub struct Pixel {
    /// First input float of the pixel's first run.
    pub input: usize,
    /// First channel of the output pixel.
    pub output: usize,
}

/// The pixels of a group of images, each image's the same and a fixed distance after the last's.
#[derive(Debug)]
pub struct List {
    all: Vec<Pixel>,
    per_image: usize,
    /// Floats from one image to the next: input, output.
    step: [usize; 2],
    /// The last input and output of the first image.
    reach: [usize; 2],
}

impl List {
    /// Of `images` images whose inputs and outputs are `step` floats apart, given the first one's.
    pub fn new(first: Vec<Pixel>, images: usize, step: [usize; 2]) -> Self {
        let reach = first.iter().fold([0, 0], |[input, output], p| [p.input.max(input), p.output.max(output)]);
        let per_image = first.len();
        let mut all = first;
        // In one allocation, by a loop of known length: for a small image this is most of what a convolution does.
        all.reserve_exact(per_image * images.saturating_sub(1));
        for image in 1..images {
            for i in 0..per_image {
                let p = all[i];
                all.push(Pixel { input: p.input + image * step[0], output: p.output + image * step[1] });
            }
        }
        Self { all, per_image, step, reach }
    }

    /// Those of the first `images` images, and the last input and output among them.
    pub fn of(&self, images: usize) -> (&[Pixel], [usize; 2]) {
        let later = images.saturating_sub(1);
        let last = |i: usize| self.reach[i].saturating_add(later.saturating_mul(self.step[i]));
        (&self.all[..images * self.per_image], [last(0), last(1)])
    }
}

/// The pixels of a group of images, whichever way they lie.
#[derive(Debug)]
pub enum Pixels {
    /// Anyhow.
    Listed(List),
    /// `step` floats after one another (input, output) from the beginning on, images, too. For a convolution of 1×1 a list of them takes as
    /// long to write as the output.
    Even {
        /// Pixels of an image.
        per_image: usize,
        /// Floats between neighbours.
        step: [usize; 2],
    },
}

/// Pixels that a product goes over, some at a time.
pub trait Places: Copy + Send + Sync {
    /// How many.
    fn len(self) -> usize;

    /// The first `count`, and the rest.
    fn split_at(self, count: usize) -> (Self, Self);

    /// The first `N`, and the rest; none where there are fewer.
    fn split_first<const N: usize>(self) -> Option<([Pixel; N], Self)>;

    /// `size` at a time; the last ones may be fewer.
    #[inline(always)]
    fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        assert!(size > 0, "no pixels at a time");
        let mut rest = self;
        std::iter::from_fn(move || {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (chunk.len() > 0).then_some(chunk)
        })
    }
}

impl Places for &[Pixel] {
    #[inline(always)]
    fn len(self) -> usize {
        <[Pixel]>::len(self)
    }

    #[inline(always)]
    fn split_at(self, count: usize) -> (Self, Self) {
        <[Pixel]>::split_at(self, count)
    }

    #[inline(always)]
    fn split_first<const N: usize>(self) -> Option<([Pixel; N], Self)> {
        self.split_first_chunk::<N>().map(|(first, rest)| (*first, rest))
    }
}

/// Pixels that lie evenly, from `next` on.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    next: Pixel,
    step: [usize; 2],
    count: usize,
}

impl Row {
    /// `count` pixels from the beginning on.
    pub fn new(count: usize, step: [usize; 2]) -> Self {
        Self { next: Pixel { input: 0, output: 0 }, step, count }
    }

    #[inline(always)]
    fn at(self, i: usize) -> Pixel {
        Pixel { input: self.next.input + i * self.step[0], output: self.next.output + i * self.step[1] }
    }
}

impl Places for Row {
    #[inline(always)]
    fn len(self) -> usize {
        self.count
    }

    #[inline(always)]
    fn split_at(self, count: usize) -> (Self, Self) {
        let left = self.count.checked_sub(count).expect("as many pixels");
        (Self { count, ..self }, Self { next: self.at(count), count: left, ..self })
    }

    #[inline(always)]
    fn split_first<const N: usize>(self) -> Option<([Pixel; N], Self)> {
        (self.count >= N).then(|| (std::array::from_fn(|i| self.at(i)), self.split_at(N).1))
    }
}
