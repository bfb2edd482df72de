//! The route tree: which rule matches a path, most specific first, with backtracking.
//!
//! Per segment a literal is tried before `*` before `**`, over path, verb and method; the order of
//! registration never matters. The walk is iterative and visits each node at most once, because a node
//! lies at one depth only, so a hostile path cannot make it exponential.

use std::collections::{HashMap, HashSet};

use http::Method;

use crate::template::{Segment, Template};

/// What lies at the end of a shape: per verb the rules by HTTP method.
#[derive(Debug, Default)]
struct Ends(HashMap<Option<String>, Vec<End>>);

/// One rule; `None` stands for every method.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) method: Option<Method>,
    pub(crate) binding: usize,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    star: Option<usize>,
    /// `**` below this node with the literals that follow it, longest tail first.
    deep: Vec<(Vec<String>, Ends)>,
    ends: Ends,
}

/// All routes of a contract.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    verbs: HashSet<String>,
}

/// A step still to be taken: a node, or the `**` rules below it, from a segment on.
enum Step {
    Node(usize, usize),
    Deep(usize, usize),
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::default()], verbs: HashSet::new() }
    }

    /// Adds a rule; the error is the binding that already has this method and shape.
    pub(crate) fn insert(&mut self, template: &Template, method: Option<Method>, binding: usize) -> Result<(), usize> {
        let ends = self.ends(template);
        let rules = ends.0.entry(template.verb.clone()).or_default();
        if let Some(taken) = rules.iter().find(|end| end.method == method) {
            return Err(taken.binding);
        }
        rules.push(End { method, binding });
        self.verbs.extend(template.verb.clone());
        Ok(())
    }

    /// Whether any rule has this verb.
    pub(crate) fn knows_verb(&self, verb: &str) -> bool {
        self.verbs.contains(verb)
    }

    /// Visits the rules that match `segments` and `verb`, most specific first, until `visit` says stop.
    pub(crate) fn walk<'t>(
        &'t self,
        segments: &[impl AsRef<str>],
        verb: Option<&str>,
        mut visit: impl FnMut(&'t [End]) -> bool,
    ) {
        let verb = verb.map(str::to_owned);
        let mut offer = |ends: &'t Ends| ends.0.get(&verb).is_some_and(|rules| visit(rules));
        let mut steps = vec![Step::Node(0, 0)];
        while let Some(step) = steps.pop() {
            let done = match step {
                Step::Node(index, depth) => {
                    let node = &self.nodes[index];
                    steps.push(Step::Deep(index, depth));
                    match segments.get(depth) {
                        None => offer(&node.ends),
                        Some(segment) => {
                            steps.extend(node.star.map(|next| Step::Node(next, depth + 1)));
                            let literal = node.literals.get(segment.as_ref());
                            steps.extend(literal.map(|next| Step::Node(*next, depth + 1)));
                            false
                        }
                    }
                }
                Step::Deep(index, depth) => {
                    self.nodes[index].deep.iter().any(|(tail, ends)| ends_with(&segments[depth..], tail) && offer(ends))
                }
            };
            if done {
                return;
            }
        }
    }

    /// The ends of the template's shape, made if need be.
    fn ends(&mut self, template: &Template) -> &mut Ends {
        let mut at = 0;
        for (index, segment) in template.segments.iter().enumerate() {
            at = match segment {
                Segment::Literal(text) => self.literal(at, text),
                Segment::Star => self.star(at),
                Segment::Deep => return self.deep(at, &template.segments[index + 1..]),
            };
        }
        &mut self.nodes[at].ends
    }

    fn literal(&mut self, at: usize, text: &str) -> usize {
        if let Some(next) = self.nodes[at].literals.get(text) {
            return *next;
        }
        let next = self.grow();
        self.nodes[at].literals.insert(text.to_owned(), next);
        next
    }

    fn star(&mut self, at: usize) -> usize {
        if let Some(next) = self.nodes[at].star {
            return next;
        }
        let next = self.grow();
        self.nodes[at].star = Some(next);
        next
    }

    fn deep(&mut self, at: usize, rest: &[Segment]) -> &mut Ends {
        let tail: Vec<String> = rest
            .iter()
            .filter_map(|segment| match segment {
                Segment::Literal(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let deep = &mut self.nodes[at].deep;
        let index = deep.iter().position(|(known, _)| *known == tail).unwrap_or_else(|| {
            let index = deep.partition_point(|(known, _)| known.len() >= tail.len());
            deep.insert(index, (tail, Ends::default()));
            index
        });
        &mut self.nodes[at].deep[index].1
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }
}

fn ends_with(segments: &[impl AsRef<str>], tail: &[String]) -> bool {
    segments.len() >= tail.len()
        && segments[segments.len() - tail.len()..]
            .iter()
            .zip(tail)
            .all(|(segment, literal)| segment.as_ref() == literal)
}
