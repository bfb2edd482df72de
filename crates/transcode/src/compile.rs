//! From a descriptor set to a contract: all load errors together, nothing half loaded.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::binding::{self, Binding};
use crate::contract::{Contract, Inner, MethodPlan, Options, Warning};
use crate::edition;
use crate::plan::{self, Plans};
use crate::rule::{self, HttpRule};
use crate::source;
use crate::template::Refusal;
use crate::tree::Tree;

/// One reason why a descriptor set cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {rpc}: {rule}: {problem}; {remedy}")]
pub struct LoadError {
    /// The proto file.
    pub file: String,
    /// `/package.Service/Method`.
    pub rpc: String,
    /// The rule: HTTP method and template.
    pub rule: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Compiles a serialized `google.protobuf.FileDescriptorSet`, imports included; its files are of proto2, proto3, edition 2023 or
/// edition 2024.
///
/// # Errors
/// Every rule that cannot be served, each with its file, RPC, rule and remedy; before them every file of an unknown edition.
pub fn compile(descriptor_set: &[u8], options: &Options) -> Result<Contract, Vec<LoadError>> {
    let lowered = edition::lowered(descriptor_set)?;
    let pool = DescriptorPool::decode(&*source::bare(&lowered)).map_err(|error| {
        vec![LoadError {
            file: "descriptor set".to_owned(),
            rpc: "-".to_owned(),
            rule: "-".to_owned(),
            problem: error.to_string(),
            remedy: "build it with all imports included".to_owned(),
        }]
    })?;
    too_large(&pool)?;
    let mut compiler = Compiler::new(options, plan::build(&pool));
    for service in pool.services() {
        for method in service.methods() {
            compiler.method(&method);
        }
    }
    compiler.unused_rules();
    compiler.finish(pool, descriptor_set, options)
}

/// Refuses messages of more fields than the plans can number.
fn too_large(pool: &DescriptorPool) -> Result<(), Vec<LoadError>> {
    let large = pool
        .all_messages()
        .filter(|message| message.fields().len() + message.extensions().len() >= usize::from(u16::MAX))
        .map(|message| LoadError {
            file: message.parent_file().name().to_owned(),
            rpc: "-".to_owned(),
            rule: message.full_name().to_owned(),
            problem: format!("the message has {} fields or more", u16::MAX),
            remedy: "split it into several messages".to_owned(),
        })
        .collect::<Vec<_>>();
    if large.is_empty() { Ok(()) } else { Err(large) }
}

struct Compiler<'o> {
    options: &'o Options,
    plans: Plans,
    /// The last service-config rule per selector.
    configured: HashMap<&'o str, &'o HttpRule>,
    methods: Vec<MethodPlan>,
    bindings: Vec<Binding>,
    /// One for each method, in their order.
    own_paths: Vec<Binding>,
    tree: Tree,
    warnings: Vec<Warning>,
    errors: Vec<LoadError>,
}

impl<'o> Compiler<'o> {
    fn new(options: &'o Options, plans: Plans) -> Self {
        let rules = options.rules.iter();
        Self {
            options,
            plans,
            configured: rules.map(|rule| (rule.selector.as_str(), rule)).collect(),
            methods: Vec::new(),
            bindings: Vec::new(),
            own_paths: Vec::new(),
            tree: Tree::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let (input, output) = (method.input(), method.output());
        // The pool has resolved both, so both have plans.
        let (Some(input_id), Some(output_id)) =
            (self.plans.find(input.full_name()), self.plans.find(output.full_name()))
        else {
            return;
        };
        let service = method.parent_service().full_name();
        let mut plan = MethodPlan {
            rpc_path: format!("/{service}/{}", method.name()),
            full_name: method.full_name().to_owned(),
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
            input,
            output,
            input_id,
            output_id,
            descriptor: method.clone(),
            bindings: Vec::new(),
        };
        let configured = self.configured.remove(method.full_name()).cloned();
        if let Some(rule) = configured.or_else(|| rule::annotation(method)) {
            self.rule(&rule, &mut plan);
            for additional in &rule.additional_bindings {
                if additional.additional_bindings.is_empty() {
                    self.rule(additional, &mut plan);
                } else {
                    self.error(
                        &plan,
                        additional,
                        Refusal {
                            problem: "additional_bindings stand inside additional_bindings".to_owned(),
                            remedy: "list all of them in the outer rule".to_owned(),
                        },
                    );
                }
            }
        }
        match binding::at_own_path(self.methods.len(), &plan, &self.plans, &self.options.event_id_fields) {
            Ok(binding) => self.own_paths.push(binding),
            Err(refusal) => self.error(&plan, &HttpRule::default(), refusal),
        }
        self.methods.push(plan);
    }

    fn rule(&mut self, rule: &HttpRule, plan: &mut MethodPlan) {
        let rpc = self.methods.len();
        let resolved = binding::resolve(rule, rpc, plan, &self.plans, &self.options.event_id_fields);
        let binding = match resolved {
            Ok(binding) => binding,
            Err(refusal) => return self.error(plan, rule, refusal),
        };
        for text in binding.warnings(plan) {
            self.warn(plan, rule, text);
        }
        let index = self.bindings.len();
        let inserted = self.tree.insert(&binding.template, binding.method.clone(), index);
        match inserted.map_err(|taken| self.bindings[taken].rpc) {
            Ok(()) => {
                self.check_bodies(rule, &binding, plan);
                plan.bindings.push(index);
                self.bindings.push(binding);
            }
            Err(other) if other == rpc => {
                self.warn(plan, rule, "an earlier binding of this RPC has the same shape".to_owned());
            }
            Err(other) => {
                let problem =
                    format!("{} matches the same requests ({})", self.methods[other].rpc_path, binding.template);
                let remedy = "change the path or the method of one of the two".to_owned();
                self.error(plan, rule, Refusal { problem, remedy });
            }
        }
    }

    /// AIP-127: all bindings of an RPC should have the same body.
    fn check_bodies(&mut self, rule: &HttpRule, binding: &Binding, plan: &MethodPlan) {
        let first = plan.bindings.first().map(|index| &self.bindings[*index].body);
        if first.is_some_and(|body| *body != binding.body) {
            self.warn(plan, rule, "its body differs from the first binding's (AIP-127)".to_owned());
        }
    }

    /// A rule for an RPC that does not exist is a mistake, not a plan for later.
    fn unused_rules(&mut self) {
        let mut unused: Vec<&str> = self.configured.keys().copied().collect();
        unused.sort_unstable();
        for selector in unused {
            self.errors.push(LoadError {
                file: "service config".to_owned(),
                rpc: selector.to_owned(),
                rule: "-".to_owned(),
                problem: "the selector names no RPC of this set".to_owned(),
                remedy: "write it as `package.Service.Method`, or remove the rule".to_owned(),
            });
        }
    }

    fn warn(&mut self, plan: &MethodPlan, rule: &HttpRule, text: String) {
        self.warnings.push(Warning { rpc: plan.rpc_path.clone(), rule: shown(rule), text });
    }

    fn error(&mut self, plan: &MethodPlan, rule: &HttpRule, refusal: Refusal) {
        self.errors.push(LoadError {
            file: plan.descriptor.parent_file().name().to_owned(),
            rpc: plan.rpc_path.clone(),
            rule: shown(rule),
            problem: refusal.problem,
            remedy: refusal.remedy,
        });
    }

    fn finish(self, pool: DescriptorPool, set: &[u8], options: &Options) -> Result<Contract, Vec<LoadError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let paths = self.methods.iter().enumerate();
        let by_path = paths.map(|(index, plan)| (plan.rpc_path.clone(), index)).collect();
        let routed = self.bindings.len();
        let bindings = self.bindings.into_iter().chain(self.own_paths).collect();
        Ok(Contract {
            inner: Arc::new(Inner {
                pool,
                set: set.into(),
                plans: self.plans,
                methods: self.methods,
                by_path,
                bindings,
                routed,
                tree: self.tree,
                warnings: self.warnings,
                options: options.clone(),
            }),
        })
    }
}

fn shown(rule: &HttpRule) -> String {
    rule.parts().map_or_else(|| "-".to_owned(), |(method, path)| format!("{method} {path}"))
}
