//! Chains of one image's operations as functions. A model that repeats a block repeats its chains:
//! such as differ only in the places and names that they work on share one function, which then
//! takes those as arguments.

use std::collections::{HashMap, HashSet};

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{format_ident, quote};

use super::passes::Segment;
use super::{Code, doc, ident, number, shared};
use crate::passes::{Scope, Step};

/// Which way a chain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// A chain, as a function of its own would be.
pub(super) struct Chain {
    pub(super) direction: Direction,
    /// The segment's number.
    pub(super) segment: usize,
    pub(super) about: String,
    /// Parameters and arguments: weights and pass.
    pub(super) common: (TokenStream, TokenStream),
    /// Parameters and arguments: arena and tape.
    pub(super) arrays: (TokenStream, TokenStream),
    /// Whether it notes routes on a tape, if there is one.
    pub(super) routes: bool,
    /// What is done with image `i`.
    pub(super) calls: TokenStream,
    /// Of chains that share a function: the segment of the first, and how they use it.
    pub(super) shared: Option<(usize, General)>,
}

impl Chain {
    /// Whether its function is one of its own, or it is the first of those that share one.
    pub(super) fn is_first(&self) -> bool {
        self.shared.as_ref().is_none_or(|(first, _)| *first == self.segment)
    }

    fn function(&self) -> Ident {
        let direction = match self.direction {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        };
        let segment = self.shared.as_ref().map_or(self.segment, |(first, _)| *first);
        format_ident!("segment_{segment}_{direction}")
    }
}

/// A chain with everything that it works on as a parameter.
pub(super) struct General {
    calls: TokenStream,
    parameters: TokenStream,
    arguments: TokenStream,
    count: usize,
}

/// Something of the model that a chain names.
#[derive(Clone, PartialEq)]
enum Local {
    Constant(String),
    Activation(String),
    Tape(String),
}

/// The most arguments that clippy lets pass.
const MANY: usize = 7;

impl Code<'_> {
    /// All chains, and which of them share a function.
    pub(super) fn find_chains(&self) -> Vec<Chain> {
        let of_images = |direction| {
            let segments = self.segments(direction).into_iter();
            segments.filter(|segment| segment.scope() != Scope::Shard)
        };
        let mut chains: Vec<Chain> =
            of_images(Direction::Forward).map(|segment| self.forward_chain(&segment)).collect();
        let back = of_images(Direction::Backward);
        chains.extend(back.filter_map(|segment| self.backward_chain(&segment)));
        let generals: Vec<Option<General>> =
            chains.iter().map(|chain| self.general(chain)).collect();
        let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, (chain, general)) in chains.iter().zip(&generals).enumerate() {
            if let Some(general) = general {
                let (common, parameters) = (&chain.common.0, &general.parameters);
                let key = format!("{common} {parameters} {}", general.calls);
                groups.entry(key).or_default().push(index);
            }
        }
        let mut firsts: HashMap<usize, usize> = HashMap::new();
        for group in groups.into_values().filter(|group| group.len() > 1) {
            let first = chains[group[0]].segment;
            firsts.extend(group.into_iter().map(|index| (index, first)));
        }
        for (index, (chain, general)) in chains.iter_mut().zip(generals).enumerate() {
            chain.shared = firsts.get(&index).copied().zip(general);
        }
        chains
    }

    fn chain(&self, direction: Direction, segment: usize) -> Option<&Chain> {
        let mut chains = self.chains.iter();
        chains.find(|chain| chain.direction == direction && chain.segment == segment)
    }

    /// The function of a chain, for all that share it.
    pub(super) fn function(chain: &Chain) -> TokenStream {
        let back = if chain.direction == Direction::Backward { "Back through " } else { "" };
        let name = chain.function();
        let general = chain.shared.as_ref().map(|(_, general)| general);
        let (calls, parameters, count) = match general {
            Some(general) => (&general.calls, &general.parameters, general.count),
            None => (&chain.calls, &chain.arrays.0, 0),
        };
        let about = match general {
            Some(_) => format!("{back}{} And for others that are alike.", chain.about),
            None => format!("{back}{}", chain.about),
        };
        let (about, common) = (doc(&about), &chain.common.0);
        // Weights and pass, the number of images, and what it works on.
        let many = (count + 3 > MANY).then(|| quote!(#[allow(clippy::too_many_arguments)]));
        quote! {
            #about
            #many
            fn #name(#common images: usize, #parameters) {
                for i in 0..images {
                    #calls
                }
            }
        }
    }

    /// The call of a segment's function; `lead` are arguments before all others, `tape` is the tape
    /// where routes are noted.
    pub(super) fn call(
        &self,
        direction: Direction,
        segment: &Segment<'_>,
        lead: Option<&TokenStream>,
        tape: &TokenStream,
    ) -> TokenStream {
        let Some(chain) = self.chain(direction, segment.number) else {
            return TokenStream::new();
        };
        let (name, common) = (chain.function(), &chain.common.1);
        let general = chain.shared.as_ref().map(|(_, general)| &general.arguments);
        let arguments = general.unwrap_or(&chain.arrays.1);
        let tape = chain.routes.then(|| quote!(#tape,));
        quote!(#name(#lead #common images, #arguments #tape);)
    }

    /// `None` for chains that note routes on a tape that may not be there.
    fn general(&self, chain: &Chain) -> Option<General> {
        let mut locals = Vec::new();
        let steps: Vec<&Step> = self.steps_of(chain);
        let constants: HashSet<&str> = steps.iter().map(|step| step.constant.as_str()).collect();
        let calls = renamed(chain.calls.clone(), &constants, &mut locals)?;
        let written: HashSet<&str> = match chain.direction {
            Direction::Forward => {
                steps.iter().map(|step| self.plan.buffers[step.output].name.as_str()).collect()
            }
            Direction::Backward => HashSet::new(),
        };
        let (mut parameters, mut arguments) = (TokenStream::new(), TokenStream::new());
        for (index, (local, changed)) in locals.iter().enumerate() {
            let name = local.name(index);
            let (kind, argument) = match local {
                Local::Constant(constant) => {
                    let step = steps.iter().find(|step| step.constant == *constant)?;
                    let (kind, constant) = (ident(step.op.kind), ident(constant));
                    (quote!(&#kind), quote!(&#constant))
                }
                Local::Activation(field) => {
                    let array = ident(field);
                    (
                        self.activation_type(field, written.contains(field.as_str()))?,
                        quote!(a.#array),
                    )
                }
                Local::Tape(field) => {
                    let array = ident(field);
                    (self.tape_type(field, *changed)?, quote!(t.#array))
                }
            };
            parameters.extend(quote!(#name: #kind,));
            arguments.extend(quote!(#argument,));
        }
        Some(General { calls, parameters, arguments, count: locals.len() })
    }

    /// The steps that a chain calls.
    fn steps_of(&self, chain: &Chain) -> Vec<&Step> {
        let segments = self.segments(chain.direction);
        let mut chains = segments.iter().filter(|segment| segment.scope() != Scope::Shard);
        let number = |found: &&Segment<'_>| found.number == chain.segment;
        let Some(found) = chains.find(number) else { return Vec::new() };
        let back = chain.direction == Direction::Backward;
        let again = back.then(|| self.made_again(found)).flatten();
        let numbers: Vec<usize> = found.steps.iter().chain(again).map(|step| step.output).collect();
        self.plan.steps.iter().filter(|step| numbers.contains(&step.output)).collect()
    }

    fn activation_type(&self, field: &str, written: bool) -> Option<TokenStream> {
        if field == "scratch" {
            let len = number(self.plan.scratch);
            return Some(quote!(&mut [f32; #len]));
        }
        let buffer = self.plan.buffers.iter().find(|buffer| buffer.name == field)?;
        let len = number(buffer.shape.len());
        if buffer.passing {
            return Some(quote!(&mut [f32; #len]));
        }
        Some(if written { quote!(&mut [[f32; #len]]) } else { quote!(&[[f32; #len]]) })
    }

    fn tape_type(&self, field: &str, changed: bool) -> Option<TokenStream> {
        let field = self.plan.tape.iter().find(|known| known.name == field)?;
        let len = number(field.len);
        Some(match (field.rows, changed) {
            (true, true) => quote!(&mut [[f32; #len]]),
            (true, false) => quote!(&[[f32; #len]]),
            (false, true) => quote!(&mut [f32; #len]),
            (false, false) => shared(field.len),
        })
    }
}

impl Local {
    fn name(&self, index: usize) -> Ident {
        match self {
            Self::Constant(_) => format_ident!("layer_{index}"),
            Self::Activation(_) => format_ident!("x_{index}"),
            Self::Tape(_) => format_ident!("d_{index}"),
        }
    }
}

/// Calls with `a.field`, `t.field` and the layers' constants replaced by names that count up, each
/// with whether it is changed; `None` if they name the tape as a whole.
fn renamed(
    tokens: TokenStream,
    constants: &HashSet<&str>,
    locals: &mut Vec<(Local, bool)>,
) -> Option<TokenStream> {
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    let (mut after_dot, mut after_and) = (false, false);
    while let Some(token) = tokens.next() {
        let dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        match &token {
            TokenTree::Group(group) => {
                let inner = renamed(group.stream(), constants, locals)?;
                let group = proc_macro2::Group::new(group.delimiter(), inner);
                out.extend([TokenTree::Group(group)]);
            }
            TokenTree::Ident(name) if !after_dot => {
                let text = name.to_string();
                let local = match text.as_str() {
                    "tape" => return None,
                    "a" | "t" => {
                        tokens.next();
                        let field = tokens.next()?.to_string();
                        Some(if text == "a" {
                            Local::Activation(field)
                        } else {
                            Local::Tape(field)
                        })
                    }
                    _ if constants.contains(text.as_str()) => Some(Local::Constant(text)),
                    _ => None,
                };
                match local {
                    Some(local) => {
                        let known = locals.iter().position(|(known, _)| *known == local);
                        let index = known.unwrap_or_else(|| {
                            locals.push((local, false));
                            locals.len() - 1
                        });
                        locals[index].1 |= !after_and;
                        out.extend([TokenTree::Ident(locals[index].0.name(index))]);
                    }
                    None => out.extend([token.clone()]),
                }
            }
            _ => out.extend([token.clone()]),
        }
        after_dot = dot;
        after_and = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '&');
    }
    Some(out)
}

/// Whether some calls borrow `name` as mutable.
pub(super) fn borrows(calls: TokenStream, name: &str) -> bool {
    let mut after_mut = false;
    calls.into_iter().any(|token| {
        let found = match &token {
            TokenTree::Group(group) => borrows(group.stream(), name),
            TokenTree::Ident(ident) => {
                let found = after_mut && ident == name;
                after_mut = ident == "mut";
                return found;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        };
        after_mut = false;
        found
    })
}
