//! What a convolution computes, and the three networks.

use cnn::MnistMlp;
use cnn_pictures::{Block, architecture, thousands};
use cnn_runtime::data::Inputs;
use cnn_runtime::{Model, Network};

use super::Result;
use super::networks::{
    Averaged, Bordered, Cifar10Cnn, Convolutional, Crossed, FullyConnected, LocallyConnected,
    MnistCnn, Pooled, Worked,
};
use super::page::{Page, Part};

const WORKED: [f32; 25] = [
    3., 3., 2., 1., 0., 0., 0., 1., 3., 1., 3., 1., 2., 2., 3., 2., 0., 0., 2., 2., 2., 0., 0., 0.,
    1.,
];
const CROSSED: [f32; 25] = [
    1., 1., 1., 0., 0., 0., 1., 1., 1., 0., 0., 0., 1., 1., 1., 0., 0., 1., 1., 0., 0., 1., 1., 0.,
    0.,
];
const POOLED: [f32; 16] = [1., 1., 2., 4., 5., 6., 7., 8., 3., 2., 1., 0., 1., 2., 3., 4.];

/// What a network without anything learned makes of an input.
fn computed<N: Network>(input: &[f32]) -> Result<Vec<f32>> {
    Ok(Model::<N>::new(0).predict(Inputs::Floats(input))?.into_iter().collect())
}

/// One convolution worked out, a border, a pooling, and what connections cost.
pub fn chapter(page: &mut Page) -> Result<()> {
    page.chapter("What a convolution does");
    page.say(
        "A small table of weights, the kernel, lies on a corner of the picture. Each weight is multiplied \
         by the pixel under it, and the products are added up: that is one number of the result. Then \
         the kernel moves on by a pixel. The networks here computed these:",
    );
    let kernel = [0., 1., 2., 2., 2., 0., 0., 1., 2.];
    let result = computed::<Worked>(&WORKED)?;
    page.matrices(&[
        Part::Matrix(&WORKED, 5),
        Part::Sign("∗"),
        Part::Matrix(&kernel, 3),
        Part::Sign("="),
        Part::Matrix(&result, 3),
    ]);
    page.say(
        "The first number is 3·0 + 3·1 + 2·2 + 0·2 + 0·2 + 1·0 + 3·0 + 1·1 + 2·2 = 12. A kernel of \
         weights answers strongly where the picture looks like the kernel itself, as this cross does:",
    );
    let result = computed::<Crossed>(&CROSSED)?;
    page.matrices(&[
        Part::Matrix(&CROSSED, 5),
        Part::Sign("∗"),
        Part::Matrix(&[1., 0., 1., 0., 1., 0., 1., 0., 1.], 3),
        Part::Sign("="),
        Part::Matrix(&result, 3),
    ]);

    page.heading("The border");
    page.say(
        "A 3 × 3 kernel has three places in five columns: the result is smaller than the picture. A \
         border of one zero makes 7 × 7 of 5 × 5, and the result as large as the picture was; \
         `padding = same` says that in one word. A kernel of 2 × 2 pads one row at the bottom and one \
         column at the right only.",
    );
    let result = computed::<Bordered>(&WORKED)?;
    page.matrices(&[Part::Sign("with a border:"), Part::Matrix(&result, 5)]);

    page.heading("Pooling");
    page.say(
        "Max pooling keeps the largest of each 2 × 2 pixels: that something was there matters more than \
         where exactly, and what follows has a quarter of the work.",
    );
    let result = computed::<Pooled>(&POOLED)?;
    page.matrices(&[Part::Matrix(&POOLED, 4), Part::Sign("→"), Part::Matrix(&result, 2)]);
    connections(page);
    Ok(())
}

fn connections(page: &mut Page) {
    page.heading("Three ways to connect");
    page.say(
        "A fully connected unit on a grey picture of 1000 × 1000 pixels has 1,000,000 weights, and 1,000 \
         such units have a billion. But what makes an edge an edge are its neighbouring pixels, and an \
         edge is an edge wherever it is. For one input of 28 × 28 pixels:",
    );
    let row = |name: &str, what: &str, outputs: &[usize], params: usize| {
        let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        [name.to_owned(), what.to_owned(), outputs.join("\u{a0}×\u{a0}"), thousands(params as u64)]
    };
    page.table(&[
        ["layer", "each output sees", "outputs", "parameters"].map(str::to_owned),
        row("`Dense(784)`", "all pixels", &FullyConnected::OUTPUT_SHAPE, FullyConnected::PARAMS),
        row(
            "`LocallyConnected2D(1, 3)`",
            "3 × 3 pixels, by weights of its own",
            &LocallyConnected::OUTPUT_SHAPE,
            LocallyConnected::PARAMS,
        ),
        row(
            "`Conv2D(1, 3)`",
            "3 × 3 pixels, by weights that all share",
            &Convolutional::OUTPUT_SHAPE,
            Convolutional::PARAMS,
        ),
    ]);
    page.say(&format!(
        "Where a class does not depend on the place at all, `GlobalAveragePooling2D` leaves the mean of \
         each feature map: 32 maps of 28 × 28 become 32 numbers, and a classifier of ten classes behind \
         a convolution has {} parameters in all.",
        thousands(Averaged::PARAMS as u64)
    ));
    page.say("`cnn explain FILE` shows for each layer of a model where its sizes come from.");
}

/// The three networks: their summaries, and the second one as a diagram.
pub fn networks(page: &mut Page) -> Result<()> {
    page.chapter("Three networks");
    page.say(
        "The first has no convolutions: it flattens a digit into 784 numbers and connects everything to \
         everything.",
    );
    page.code(MnistMlp::SUMMARY);
    page.say(
        "The second looks for 32 small patterns, then for 64 patterns of those, and only then \
         connects everything. It has a third of the parameters. This is all one writes:",
    );
    page.code(include_str!("../../../specs/mnist_cnn.cnn"));
    page.code(MnistCnn::SUMMARY);
    page.drawing(&diagram::<MnistCnn>()?, "The second network as a diagram.");
    page.say(
        "The third is for colour photographs. Its dropout layers forget a random share of their inputs \
         during training, so that no unit relies on another one alone.",
    );
    page.code(Cifar10Cnn::SUMMARY);
    Ok(())
}

fn diagram<N: Network>() -> Result<cnn_pictures::Svg> {
    let shape = |axes: &[usize]| axes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
    let shapes: Vec<String> = N::LAYERS.iter().map(|layer| shape(layer.output_shape)).collect();
    let blocks: Vec<Block<'_>> = N::LAYERS
        .iter()
        .zip(&shapes)
        .map(|(layer, shape)| Block {
            name: layer.name,
            class: layer.kind,
            shape,
            params: layer.params as u64,
            sources: &[],
        })
        .collect();
    Ok(architecture(N::NAME, &shape(N::INPUT_SHAPE), &blocks)?)
}
