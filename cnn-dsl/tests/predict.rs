//! The plan of predictions, played through: whatever a call reads must still be there, though arrays
//! share their places.

use std::fs;
use std::path::Path;

use cnn_dsl::passes::{Call, Plan, Scope, plan};

/// Whose each float of a slot is: a buffer's, of an image.
type Owner = Option<(usize, usize)>;

/// A predictor's arena, by slots.
struct Arena<'a> {
    plan: &'a Plan,
    slots: Vec<Vec<Owner>>,
}

impl<'a> Arena<'a> {
    /// For `images` at a time, which are there.
    fn new(plan: &'a Plan, images: usize) -> Self {
        let slot = |slot: &cnn_dsl::passes::Slot| {
            vec![None; usize::try_from(slot.len).unwrap() * if slot.rows { images } else { 1 }]
        };
        let mut arena = Self { plan, slots: plan.predict.slots.iter().map(slot).collect() };
        if arena.copies_input() {
            (0..images).for_each(|image| arena.write(0, image));
        }
        arena
    }

    /// Else the caller has it, and no call overwrites it.
    fn copies_input(&self) -> bool {
        self.plan.predict.places[0].is_some()
    }

    /// Where a buffer's row lies.
    fn row(&mut self, buffer: usize, image: usize) -> &mut [Owner] {
        let place = self.plan.predict.places[buffer].expect("has a place");
        let len = usize::try_from(self.plan.buffers[buffer].shape.len()).unwrap();
        let row = if place.rows { image } else { 0 };
        &mut self.slots[place.slot][row * len..][..len]
    }

    fn write(&mut self, buffer: usize, image: usize) {
        self.row(buffer, image).fill(Some((buffer, image)));
    }

    fn read(&mut self, buffer: usize, image: usize, what: &str) {
        if buffer == 0 && !self.copies_input() {
            return;
        }
        let owner = Some((buffer, image));
        let row = self.row(buffer, image);
        assert!(row.iter().all(|&found| found == owner), "{what}: {buffer} of {image} is gone");
    }

    fn call(&mut self, call: &Call, images: std::ops::Range<usize>, what: &str) {
        for image in images.clone() {
            call.inputs.iter().for_each(|&input| self.read(input, image, what));
        }
        // An operation on one image may not write where it reads.
        images.for_each(|image| self.write(call.output, image));
    }
}

/// As the emitted code runs: chains one image after the other, matrix products on all of them.
fn play(plan: &Plan, what: &str) {
    let images = usize::try_from(plan.together.min(3)).unwrap();
    let is_shared = |call: &Call| plan.steps[call.step].op.scope == Scope::Shard;
    let mut arena = Arena::new(plan, images);
    for chain in plan.predict.calls.chunk_by(|a, b| !is_shared(a) && !is_shared(b)) {
        if is_shared(&chain[0]) {
            arena.call(&chain[0], 0..images, what);
        } else {
            for image in 0..images {
                for call in chain {
                    arena.call(call, image..image + 1, what);
                }
            }
        }
        for call in chain {
            let [output, inputs] = [vec![call.output], call.inputs.clone()]
                .map(|buffers| buffers.iter().map(|&b| plan.predict.places[b]).collect::<Vec<_>>());
            assert!(inputs.iter().all(|input| *input != output[0]), "{what}: reads what it writes");
        }
    }
    for image in 0..images {
        arena.read(plan.predict.outputs, image, what);
        arena.read(plan.predict.scores, image, what);
    }
}

#[test]
fn nothing_is_overwritten_while_it_is_needed() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let mut texts: Vec<String> = fs::read_dir(specs)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(texts.len() >= 10);
    texts.extend(ODD.map(String::from));
    for text in texts {
        for model in cnn_dsl::compile(&text).unwrap() {
            play(&plan(&model), &model.name);
        }
    }
}

/// Arrays that live long, across matrix products on many images; dropout at an end and with several
/// readers; sums of two that could both be folded; nothing at all.
const ODD: [&str; 4] = [
    "model Long {
        input(8, 8, 4);
        Conv2D(4, 3, padding = same);
        BatchNormalization;
        residual {
            Dropout(0.5);
            Conv2D(4, 3, padding = same);
            BatchNormalization;
        }
        Flatten;
        residual { Dense(400); Dense(256); Dropout(0.1); }
        residual { Dense(300, activation = relu); Dense(256); }
        Dropout(0.5);
    }",
    "model Both {
        input(8, 8, 4);
        Dropout(0.5);
        residual {
            Conv2D(6, 3, padding = same);
            BatchNormalization;
        } shortcut {
            Conv2D(6, 1);
            BatchNormalization;
        }
        ReLU;
        residual { Conv2D(6, 3, padding = same); BatchNormalization; ReLU; }
        Flatten;
        Dense(3, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop);
        fit(batch_size = 4, epochs = 1);
    }",
    "model Frozen {
        input(6, 6, 3);
        Conv2D(5, 3, trainable = false);
        BatchNormalization(trainable = false);
        GlobalAveragePooling2D;
        Softmax;
    }",
    "model Flat { input(2, 2, 1); Flatten; }",
];

/// Images are read where they lie, but by matrix products, and where they are the outputs.
#[test]
fn inputs_are_copied_where_that_pays() {
    let copies = |text: &str| {
        let models = cnn_dsl::compile(text).unwrap();
        plan(&models[0]).predict.places[0].is_some()
    };
    assert_eq!(ODD.map(copies), [false, false, false, true]);
    assert!(copies(include_str!("../../specs/mnist_mlp.cnn")));
    assert!(!copies(include_str!("../../specs/mnist_cnn.cnn")));
    let odds = "model Odds {
        input(5);
        Softmax;
        compile(loss = categorical_crossentropy, optimizer = rmsprop);
        fit(batch_size = 4, epochs = 1);
    }";
    assert!(copies(odds), "the loss reads logits");
}

/// Every normalization behind a convolution, and with it nine sums.
#[test]
fn all_of_resnet20_is_folded() {
    let text = include_str!("../../specs/resnet20.cnn");
    let model = &cnn_dsl::compile(text).unwrap()[0];
    let plan = plan(model);
    let norms = plan.steps.iter().filter(|step| step.op.kind == "BatchNormalization").count();
    let folded = || plan.predict.calls.iter().filter(|call| call.folded.is_some());
    assert_eq!((folded().count(), norms), (21, 21));
    assert_eq!(folded().filter(|call| call.inputs.len() == 2).count(), 9);
    // And the mean over the image, the classifier and its softmax.
    assert_eq!(plan.predict.calls.len(), 24);
}
