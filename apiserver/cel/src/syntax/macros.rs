//! Macros: calls that become loops. What each becomes is that of cel-go, for costs are
//! counted over it.

use super::parser::Parser;
use super::tree::{Comprehension, Constant, Entry, Expression, Kind};
use super::{ACCUMULATOR, MOST_REPEATED};

/// A call, or what it becomes if it is a macro's.
pub(super) fn expand(
    parser: &mut Parser,
    at: usize,
    function: String,
    target: Option<Expression>,
    mut args: Vec<Expression>,
) -> Option<Expression> {
    match (&*function, target, args.len()) {
        ("has", None, 1) => has(parser, at, args.remove(0)),
        (
            "all" | "exists" | "exists_one" | "existsOne" | "map" | "filter" | "transformList"
            | "transformMap" | "transformMapEntry",
            Some(target),
            2..=4,
        ) if is_loop(&function, args.len()) => {
            let mut expansion = Expansion { parser, at };
            expansion.fold(&function, target, args)
        }
        ("optMap" | "optFlatMap", Some(target), 2) => {
            let mut expansion = Expansion { parser, at };
            expansion.optional(&function, target, args)
        }
        (_, target, _) => {
            let target = target.map(Box::new);
            let kind = Kind::Call {
                function,
                target,
                args,
            };
            Some(parser.node(at, kind))
        }
    }
}

/// Whether a macro of this name takes so many arguments.
fn is_loop(function: &str, args: usize) -> bool {
    match function {
        "all" | "exists" | "exists_one" => matches!(args, 2 | 3),
        "map" => matches!(args, 2 | 3),
        "filter" => args == 2,
        "existsOne" => args == 3,
        _ => matches!(args, 3 | 4),
    }
}

fn has(parser: &mut Parser, at: usize, operand: Expression) -> Option<Expression> {
    match operand.kind {
        Kind::Select {
            operand,
            field,
            test: false,
        } => {
            let test = true;
            Some(parser.node(
                at,
                Kind::Select {
                    operand,
                    field,
                    test,
                },
            ))
        }
        _ => {
            let place = parser.place(&operand);
            parser.issue(place, "invalid argument to has() macro");
            None
        }
    }
}

struct Expansion<'x, 'p, 't> {
    parser: &'x mut Parser<'p, 't>,
    at: usize,
}

impl Expansion<'_, '_, '_> {
    fn node(&mut self, kind: Kind) -> Expression {
        self.parser.node(self.at, kind)
    }

    fn constant(&mut self, constant: Constant) -> Expression {
        self.node(Kind::Constant(constant))
    }

    fn truth(&mut self, truth: bool) -> Expression {
        self.constant(Constant::Bool(truth))
    }

    fn call<const N: usize>(&mut self, function: &str, args: [Expression; N]) -> Expression {
        self.parser.call(self.at, function, args.into())
    }

    fn gathered(&mut self) -> Expression {
        self.node(Kind::Ident(ACCUMULATOR.to_owned()))
    }

    /// What is gathered with a list of one more.
    fn with(&mut self, item: Expression) -> Expression {
        let gathered = self.gathered();
        let item = self.node(Kind::List(vec![(item, false)]));
        self.call("_+_", [gathered, item])
    }

    /// The step where a filter holds; elsewhere nothing changes.
    fn where_holds(&mut self, filter: Option<Expression>, step: Expression) -> Expression {
        match filter {
            None => step,
            Some(filter) => {
                let gathered = self.gathered();
                self.call("_?_:_", [filter, step, gathered])
            }
        }
    }

    /// An argument that names a variable.
    fn variable(&mut self, argument: &Expression) -> Option<String> {
        let place = self.parser.place(argument);
        match &argument.kind {
            Kind::Ident(name) if name == ACCUMULATOR || name == "__result__" => {
                let words = format!("iteration variable overwrites accumulator variable: {name}");
                self.parser.issue(place, words);
                None
            }
            Kind::Ident(name) if !name.starts_with('.') => Some(name.clone()),
            _ => {
                self.parser.issue(place, "argument must be a simple name");
                None
            }
        }
    }

    fn fold(
        &mut self,
        function: &str,
        range: Expression,
        args: Vec<Expression>,
    ) -> Option<Expression> {
        let two = match function {
            "map" | "filter" => false,
            "all" | "exists" | "exists_one" => args.len() == 3,
            _ => true,
        };
        let mut args = args.into_iter();
        let variable = args.next()?;
        let variable = self.variable(&variable)?;
        let second = match two {
            false => None,
            true => {
                let second = args.next()?;
                let name = self.variable(&second)?;
                if name == variable {
                    let place = self.parser.place(&second);
                    let words = format!("duplicate variable name: {name}");
                    self.parser.issue(place, words);
                    return None;
                }
                Some(name)
            }
        };
        let mut first = args.next()?;
        let mut filter = None;
        if let Some(last) = args.next() {
            filter = Some(std::mem::replace(&mut first, last));
        }
        let (start, condition, step, result) = match function {
            "all" => {
                let gathered = self.gathered();
                let condition = self.call("@not_strictly_false", [gathered]);
                let gathered = self.gathered();
                let step = self.call("_&&_", [gathered, first]);
                (self.truth(true), condition, step, self.gathered())
            }
            "exists" => {
                let gathered = self.gathered();
                let not = self.call("!_", [gathered]);
                let condition = self.call("@not_strictly_false", [not]);
                let gathered = self.gathered();
                let step = self.call("_||_", [gathered, first]);
                (self.truth(false), condition, step, self.gathered())
            }
            "exists_one" | "existsOne" => {
                let (gathered, one) = (self.gathered(), self.constant(Constant::Int(1)));
                let more = self.call("_+_", [gathered, one]);
                let step = self.where_holds(Some(first), more);
                let (gathered, one) = (self.gathered(), self.constant(Constant::Int(1)));
                let result = self.call("_==_", [gathered, one]);
                let start = self.constant(Constant::Int(0));
                (start, self.truth(true), step, result)
            }
            "filter" => {
                let item = self.node(Kind::Ident(variable.clone()));
                let step = self.with(item);
                let step = self.where_holds(Some(first), step);
                let start = self.node(Kind::List(Vec::new()));
                (start, self.truth(true), step, self.gathered())
            }
            "map" | "transformList" => {
                let step = self.with(first);
                let step = self.where_holds(filter, step);
                let start = self.node(Kind::List(Vec::new()));
                (start, self.truth(true), step, self.gathered())
            }
            "transformMap" => {
                let (gathered, key) = (self.gathered(), self.node(Kind::Ident(variable.clone())));
                let step = self.call("cel.@mapInsert", [gathered, key, first]);
                let step = self.where_holds(filter, step);
                let start = self.node(Kind::Map(Vec::<Entry>::new()));
                (start, self.truth(true), step, self.gathered())
            }
            _ => {
                let gathered = self.gathered();
                let step = self.call("cel.@mapInsert", [gathered, first]);
                let step = self.where_holds(filter, step);
                let start = self.node(Kind::Map(Vec::<Entry>::new()));
                (start, self.truth(true), step, self.gathered())
            }
        };
        Some(self.node(Kind::Comprehension(Box::new(Comprehension {
            range,
            variable,
            second,
            accumulator: ACCUMULATOR.to_owned(),
            start,
            condition,
            step,
            result,
        }))))
    }

    /// `optMap` and `optFlatMap`: the value, if there is one, under a name.
    fn optional(
        &mut self,
        function: &str,
        target: Expression,
        args: Vec<Expression>,
    ) -> Option<Expression> {
        let mut args = args.into_iter();
        let (name, body) = (args.next()?, args.next()?);
        let name = self.variable(&name)?;
        if target.size > MOST_REPEATED {
            let place = self.parser.place(&target);
            self.parser.issue(
                place,
                format!("{function} of an expression that is too large"),
            );
            return None;
        }
        let on = |function: &str, target: Expression| Kind::Call {
            function: function.to_owned(),
            target: Some(Box::new(target)),
            args: Vec::new(),
        };
        // The numbers of its nodes are noted once for both, which are of the same types.
        let has = self.node(on("hasValue", target.clone()));
        let value = self.node(on("value", target));
        let unused = self.node(Kind::Ident(name.clone()));
        let bound = Comprehension {
            range: self.node(Kind::List(Vec::new())),
            variable: "#unused".to_owned(),
            second: None,
            accumulator: name,
            start: value,
            condition: self.truth(false),
            step: unused,
            result: body,
        };
        let bound = self.node(Kind::Comprehension(Box::new(bound)));
        let then = match function {
            "optMap" => self.call("optional.of", [bound]),
            _ => bound,
        };
        let none = self.call("optional.none", []);
        Some(self.call("_?_:_", [has, then, none]))
    }
}
