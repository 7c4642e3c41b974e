//! Random programs: however they are written, and through either door, they mean the same.

use super::flat;

/// Numbers that look random (Steele, Lea and Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn of(&mut self, some: &[&'static str]) -> &'static str {
        some[self.below(some.len())]
    }
}

/// A program as its tokens.
struct Program {
    draw: Draw,
    tokens: Vec<String>,
    /// Labels and constants so far, so that each is new.
    names: usize,
}

impl Program {
    fn random(number: u64) -> Vec<String> {
        let mut program = Self { draw: Draw(number), tokens: Vec::new(), names: 0 };
        program.say("const WIDTH = 4 ;");
        program.block();
        for model in 0..=program.draw.below(2) {
            program.model(model);
        }
        program.tokens
    }

    fn say(&mut self, tokens: &str) {
        self.tokens.extend(tokens.split_whitespace().map(str::to_owned));
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    /// Keeps height and width, and makes `filters` channels.
    fn block(&mut self) {
        let default = self.draw.of(&["3", "WIDTH", "( 2 + 1 ) * 2", "6 / 2 - 1"]);
        self.say(&format!("block Unit ( filters , size = {default} , rounds = 2 ) {{"));
        if self.draw.below(2) == 0 {
            self.say("const HALF = size + 2 * ( size - 1 ) % 3 ;");
            self.say("Conv2D ( filters , HALF , padding = same ) ;");
        }
        self.say("repeat rounds { Conv2D ( filters , size , padding = same ) ; } }");
    }

    fn model(&mut self, number: usize) {
        let docs = self.draw.of(&["", "pub"]);
        let side = 4 + self.draw.below(9);
        self.say(&format!("{docs} model Net{number} {{ input ( {side} , {side} , 3 ) ;"));
        self.body(2, 3);
        self.say("GlobalAveragePooling2D ; Dense ( 10 , activation = softmax ) ;");
        if self.draw.below(2) == 0 {
            self.say("compile ( loss = categorical_crossentropy , metrics = [ accuracy ] ,");
            self.say("optimizer = RMSprop ( rho = 0.8 , learning_rate = 1e-2 ) ) ;");
            self.say("fit ( batch_size = 1_6 , epochs = 2 , ) ;");
        }
        self.say("assert params >= 1 ; }");
    }

    /// Some statements for an image of so many channels; gives the channels that they make.
    fn body(&mut self, depth: usize, mut channels: usize) -> usize {
        for _ in 0..=self.draw.below(3) {
            channels = self.statement(depth, channels);
        }
        channels
    }

    fn statement(&mut self, depth: usize, channels: usize) -> usize {
        match self.draw.below(if depth == 0 { 4 } else { 8 }) {
            0 => {
                let name = self.name();
                self.say(&format!("{name} :"));
                self.convolution("5", "")
            }
            1 => {
                let layer = self.draw.of(&[
                    "BatchNormalization ;",
                    "ReLU ( max_value = 6. ) ;",
                    "Dropout ( rate = 2.5e-1 ) ;",
                    "Conv2DTranspose ( 1 , 1 ) ; DepthwiseConv2D ( 3 , padding = \"same\" ) ;",
                ]);
                self.say(layer);
                if layer.starts_with("Conv2DT") { 1 } else { channels }
            }
            2 => {
                let name = self.name();
                self.say(&format!("const {name} = - ( 2 - WIDTH ) * 3 ;"));
                self.convolution(&name, "");
                6
            }
            3 => {
                let [first, second] = [self.name(), self.name()];
                self.say(&format!("{first} :"));
                self.convolution("WIDTH", "");
                self.say(&format!("{second} :"));
                self.convolution("WIDTH", &format!("( {first} )"));
                let merge = self.draw.of(&["Add", "Multiply", "Maximum ( )", "Average"]);
                self.say(&format!("{merge} ( {first} , {second} ) ;"));
                4
            }
            4 => {
                self.say("residual {");
                let made = self.body(depth - 1, channels);
                if made == channels && self.draw.below(2) == 0 {
                    // The identity adds up; a statement keeps it from being empty.
                    self.say("LeakyReLU ( negative_slope = 0.1 ) ; }");
                } else {
                    self.say(&format!("}} shortcut {{ Conv2D ( {made} , 1 ) ; }}"));
                }
                made
            }
            5 => {
                self.say("branches concatenate ( axis = -1 ) { {");
                let left = self.body(depth - 1, channels);
                self.say("} {");
                let right = self.body(depth - 1, channels);
                self.say("} { } }");
                left + right + channels
            }
            6 => {
                // No rounds would leave a residual empty.
                let rounds = self.draw.below(3).max(usize::from(depth < 2));
                self.say(&format!("repeat {rounds} {{"));
                let name = self.name();
                self.say(&format!("{name} : Conv2D ( {channels} , ( 1 , 3 ) , padding = same ) ;"));
                self.say("}");
                channels
            }
            _ => {
                let call = self.draw.of(&[
                    "Unit ( 7 ) ;",
                    "Unit ( rounds = 1 , filters = 3 + 4 , ) ;",
                    "Unit ( 7 , 1 , 3 ) ;",
                ]);
                self.say(call);
                7
            }
        }
    }

    /// One of 5 filters where nothing else is said.
    fn convolution(&mut self, filters: &str, of: &str) -> usize {
        let more = self.draw.of(&[
            "",
            ", use_bias = false",
            ", activation = gelu",
            ", dilation_rate = ( 2 , 1 ) , kernel_regularizer = L2 ( 1e-4 )",
        ]);
        self.say(&format!("Conv2D ( {filters} , kernel_size = 3 , padding = same {more} ) {of} ;"));
        5
    }
}

/// The tokens with `between` two of them; what would become one word stays apart.
fn written(tokens: &[String], mut between: impl FnMut() -> &'static str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.\"".contains(c);
    let mut text = String::new();
    for token in tokens {
        let gap = between();
        // `/` and `/*` would be `//*`.
        let touches = text.ends_with(word) && token.starts_with(word)
            || text.ends_with('/') && gap.starts_with('/');
        text.push_str(if touches && !gap.starts_with([' ', '\n']) { " " } else { gap });
        text.push_str(token);
    }
    text
}

#[test]
fn random_programs_mean_the_same_through_both_doors() {
    const GAPS: [&str; 5] = ["", " ", "\n\n  ", " /* a /* b */ ; */ ", " // { c\n"];
    let mut layers = 0;
    for number in 0..300 {
        let tokens = Program::random(number);
        let plain = written(&tokens, || " ");
        let models = cnn_dsl::compile(&plain)
            .unwrap_or_else(|mistakes| panic!("{}: {plain}", mistakes[0].message));
        layers += models.iter().map(|model| model.layers.len()).sum::<usize>();
        let mut draw = Draw(number);
        for text in [
            written(&tokens, || ""),
            written(&tokens, || GAPS[draw.below(GAPS.len())]),
            cnn_dsl::format::format(&plain).unwrap(),
        ] {
            assert_eq!(cnn_dsl::compile(&text).as_ref(), Ok(&models), "{text}");
            assert_eq!(cnn_dsl::compile(&flat(&text).text).as_ref(), Ok(&models), "{text}");
        }
    }
    assert!(layers > 3_000, "{layers} layers");
}
