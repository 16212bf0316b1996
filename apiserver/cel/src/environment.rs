//! What expressions may name: variables, types, functions.

use crate::check;
use crate::function::Overload;
use crate::issue::{Issue, Issues};
use crate::plan;
use crate::program::Program;
use crate::syntax;
use crate::types::{ObjectType, Type};
use crate::{library, standard};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// Expressions are no longer than this, in characters.
const LONGEST: usize = 100_000;

/// What expressions may name. Kubernetes' functions are in all of them.
///
/// ```
/// use hardway_cel::{Environment, Type};
/// let environment = Environment::new().variable("object", Type::Dyn);
/// let program = environment.compile("object.spec.replicas <= 5").unwrap();
/// assert_eq!(program.output_type(), &Type::Bool);
/// ```
#[derive(Clone, Debug)]
pub struct Environment {
    functions: Functions,
    variables: BTreeMap<String, Type>,
    types: BTreeMap<String, Type>,
    /// What names of open object types begin with.
    open: Option<&'static str>,
}

/// Whose functions an environment has (`k8s.io/apiserver/pkg/cel/environment`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expressions {
    /// Expressions that are stored: all functions.
    #[default]
    Stored,
    /// Expressions that are being written: without what only this version of Kubernetes has.
    /// Those that it lets in the version before can read as well.
    New,
}

type Functions = Arc<HashMap<&'static str, Vec<Arc<Overload>>>>;

/// What all environments have.
struct Kubernetes {
    stored: Functions,
    new: Functions,
    types: BTreeMap<String, Type>,
}

static KUBERNETES: LazyLock<Kubernetes> = LazyLock::new(|| {
    let overloads = standard::overloads()
        .into_iter()
        .chain(library::overloads());
    let new = by_name(HashMap::new(), overloads);
    let stored = by_name(new.clone(), library::newest());
    let named = standard::types().into_iter().chain(library::types());
    let types = named.map(|kind| (kind.name().to_owned(), kind));
    Kubernetes {
        stored: Arc::new(stored),
        new: Arc::new(new),
        types: types.collect(),
    }
});

fn by_name(
    mut functions: HashMap<&'static str, Vec<Arc<Overload>>>,
    overloads: impl IntoIterator<Item = Overload>,
) -> HashMap<&'static str, Vec<Arc<Overload>>> {
    for overload in overloads {
        let forms = functions.entry(overload.name).or_default();
        forms.push(Arc::new(overload));
    }
    functions
}

impl Default for Environment {
    fn default() -> Self {
        Self::of(Expressions::default())
    }
}

impl Environment {
    /// All of Kubernetes' functions and no variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Kubernetes' functions for such expressions, and no variables.
    pub fn of(expressions: Expressions) -> Self {
        let kubernetes = &*KUBERNETES;
        let functions = match expressions {
            Expressions::Stored => &kubernetes.stored,
            Expressions::New => &kubernetes.new,
        };
        Self {
            functions: functions.clone(),
            variables: BTreeMap::new(),
            types: kubernetes.types.clone(),
            open: None,
        }
    }

    /// With a variable. A name with dots, `variables.total`, is a variable of its own.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, kind: Type) -> Self {
        self.variables.insert(name.into(), kind);
        self
    }

    /// With an object type that expressions can make: `Name{field: value}`.
    #[must_use]
    pub fn object_type(mut self, object: ObjectType) -> Self {
        self.types.insert(object.name.clone(), Type::object(object));
        self
    }

    /// With object types of any fields, whose names are this one or begin with it and a dot.
    #[must_use]
    pub fn open_objects(mut self, name: &'static str) -> Self {
        self.open = Some(name);
        self
    }

    /// With functions that not every environment has.
    #[must_use]
    pub fn overloads(mut self, overloads: impl IntoIterator<Item = Overload>) -> Self {
        self.functions = Arc::new(by_name((*self.functions).clone(), overloads));
        self
    }

    pub(crate) fn variable_type(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    pub(crate) fn named_type(&self, name: &str) -> Option<Type> {
        if let Some(known) = self.types.get(name) {
            return Some(known.clone());
        }
        let below = name.strip_prefix(self.open?)?;
        let is_open = below.is_empty() || below.starts_with('.');
        is_open.then(|| Type::object(ObjectType::open(name)))
    }

    pub(crate) fn function(&self, name: &str) -> Option<&[Arc<Overload>]> {
        self.functions.get(name).map(Vec::as_slice)
    }

    /// Makes an expression ready to be evaluated.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in cel-go's words.
    pub fn compile(&self, expression: &str) -> Result<Program, Vec<Issue>> {
        let text: Vec<char> = expression.chars().take(LONGEST + 1).collect();
        let mut issues = Issues::new(&text);
        if text.len() > LONGEST {
            let size = expression.chars().count();
            let words =
                format!("expression code point size exceeds limit: size: {size}, limit {LONGEST}");
            issues.add(0, words);
            return Err(issues.into_list());
        }
        let parsed = syntax::parse(&text, &mut issues);
        if !issues.is_empty() {
            return Err(issues.into_list());
        }
        let checked = check::check(self, &parsed.root, &parsed.places, &mut issues);
        if !issues.is_empty() {
            return Err(issues.into_list());
        }
        let plan = plan::plan(&parsed.root, &checked);
        Ok(Program::new(parsed.root, checked, plan))
    }
}
