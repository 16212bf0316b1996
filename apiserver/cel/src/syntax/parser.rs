//! The grammar of CEL: by descent, operators by their strength.

use super::lexer::{self, Placed, Token};
use super::names::RESERVED;
use super::tree::{Constant, Entry, Expression, Field, Kind};
use super::{MOST_DEPTH, literal, macros};
use crate::issue::Issues;

/// An expression and the places of its parts, by their number.
pub(crate) struct Parsed {
    pub root: Expression,
    pub places: Vec<usize>,
}

/// Reads an expression. Issues say what is wrong with it; then the tree is of no use.
pub(crate) fn parse(text: &[char], issues: &mut Issues) -> Parsed {
    let tokens = lexer::tokens(text, issues);
    let mut parser = Parser {
        tokens,
        next: 0,
        places: Vec::new(),
        nested: 0,
        issues,
    };
    let root = if parser.issues.is_empty() {
        parser.whole()
    } else {
        None
    };
    let root = root.unwrap_or_else(|| parser.node(0, Kind::Unknown));
    if root.depth > MOST_DEPTH {
        parser.too_deep(0);
    }
    Parsed {
        root,
        places: parser.places,
    }
}

/// Binary operators: their sign, their function, how strongly they bind.
const OPERATORS: [(&str, &str, u8); 14] = [
    ("||", "_||_", 1),
    ("&&", "_&&_", LOGICAL),
    ("==", "_==_", 3),
    ("!=", "_!=_", 3),
    ("<", "_<_", 3),
    ("<=", "_<=_", 3),
    (">", "_>_", 3),
    (">=", "_>=_", 3),
    ("in", "@in", 3),
    ("+", "_+_", 4),
    ("-", "_-_", 4),
    ("*", "_*_", 5),
    ("/", "_/_", 5),
    ("%", "_%_", 5),
];

/// Operators that bind no more strongly are those of truth values.
const LOGICAL: u8 = 2;

/// Makes the nodes of a tree. `None` from what parses says that an issue was told.
pub(super) struct Parser<'p, 't> {
    tokens: Vec<Placed>,
    next: usize,
    places: Vec<usize>,
    nested: u32,
    issues: &'p mut Issues<'t>,
}

impl Parser<'_, '_> {
    /// A node, which stands where `at` says.
    pub fn node(&mut self, at: usize, kind: Kind) -> Expression {
        let id = self.places.len();
        self.places.push(at);
        Expression::new(id, kind)
    }

    /// A call of an operator or a function of the language.
    pub fn call(&mut self, at: usize, function: &str, args: Vec<Expression>) -> Expression {
        let kind = Kind::Call {
            function: function.to_owned(),
            target: None,
            args,
        };
        self.node(at, kind)
    }

    /// What an issue is told of.
    pub fn issue(&mut self, at: usize, message: impl Into<String>) {
        self.issues.add(at, message);
    }

    /// Where a node stands.
    pub fn place(&self, of: &Expression) -> usize {
        self.places.get(of.id).copied().unwrap_or_default()
    }

    fn too_deep(&mut self, at: usize) {
        let words = format!("expression recursion limit exceeded: {MOST_DEPTH}");
        self.issues.add(at, words);
    }

    fn peek(&self) -> &Placed {
        // The last token is the end, which is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Placed {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn sign_ahead(&self, sign: &str) -> bool {
        matches!(&self.peek().token, Token::Sign(found) if *found == sign)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.sign_ahead(sign);
        if found {
            self.next += 1;
        }
        found
    }

    fn unexpected(&mut self, expected: &str) {
        let found = self.peek().clone();
        let words = match found.token {
            Token::End | Token::Sign(_) | Token::Constant(_) | Token::Number(_)
                if !expected.is_empty() =>
            {
                format!("mismatched input '{}' expecting {expected}", found.text)
            }
            _ => format!("extraneous input '{}' expecting {expected}", found.text),
        };
        self.issues.add(found.at, format!("Syntax error: {words}"));
    }

    fn expect(&mut self, sign: &str) -> Option<()> {
        if self.accept(sign) {
            return Some(());
        }
        self.unexpected(&format!("'{sign}'"));
        None
    }

    fn whole(&mut self) -> Option<Expression> {
        let root = self.expression()?;
        if self.peek().token != Token::End {
            self.unexpected("<EOF>");
            return None;
        }
        Some(root)
    }

    fn expression(&mut self) -> Option<Expression> {
        if self.nested >= MOST_DEPTH {
            let at = self.peek().at;
            self.too_deep(at);
            return None;
        }
        self.nested += 1;
        let condition = self.binary(1)?;
        let at = self.peek().at;
        if !self.accept("?") {
            self.nested -= 1;
            return Some(condition);
        }
        let then = self.binary(1)?;
        self.expect(":")?;
        let other = self.expression()?;
        self.nested -= 1;
        Some(self.call(at, "_?_:_", vec![condition, then, other]))
    }

    /// Operands and the operators between them that bind at least so strongly.
    fn binary(&mut self, weakest: u8) -> Option<Expression> {
        let mut left = self.unary()?;
        loop {
            let Token::Sign(sign) = self.peek().token else {
                return Some(left);
            };
            let known = OPERATORS.iter().find(|(known, _, _)| *known == sign);
            let Some((_, function, strength)) = known.filter(|(_, _, s)| *s >= weakest) else {
                return Some(left);
            };
            let at = self.take().at;
            let right = self.binary(strength + 1)?;
            if *strength > LOGICAL {
                left = self.call(at, function, vec![left, right]);
                self.bounded(&left, at)?;
                continue;
            }
            let (mut terms, mut places) = (vec![left, right], vec![at]);
            while self.sign_ahead(sign) {
                places.push(self.take().at);
                terms.push(self.binary(strength + 1)?);
            }
            left = self.balanced(function, terms, places)?;
        }
    }

    /// Terms between `&&` or `||`, as a tree of little depth.
    fn balanced(
        &mut self,
        function: &str,
        mut terms: Vec<Expression>,
        mut places: Vec<usize>,
    ) -> Option<Expression> {
        while terms.len() > 1 {
            let mut halved = Vec::with_capacity(terms.len().div_ceil(2));
            let mut between = Vec::new();
            let (mut rest, mut signs) = (terms.into_iter(), places.into_iter());
            while let Some(left) = rest.next() {
                match rest.next() {
                    Some(right) => {
                        let at = signs.next().unwrap_or_default();
                        halved.push(self.call(at, function, vec![left, right]));
                        between.extend(signs.next());
                    }
                    None => halved.push(left),
                }
            }
            (terms, places) = (halved, between);
        }
        terms.pop()
    }

    /// Whether a tree that grows to the left is still of allowed depth.
    fn bounded(&mut self, tree: &Expression, at: usize) -> Option<()> {
        if tree.depth <= MOST_DEPTH {
            return Some(());
        }
        self.too_deep(at);
        None
    }

    fn unary(&mut self) -> Option<Expression> {
        let at = self.peek().at;
        if self.sign_ahead("!") {
            let mut odd = false;
            while self.accept("!") {
                odd = !odd;
            }
            let operand = self.member()?;
            return Some(match odd {
                true => self.call(at, "!_", vec![operand]),
                false => operand,
            });
        }
        if !self.sign_ahead("-") {
            return self.member();
        }
        let mut count = 0;
        while self.sign_ahead("-") {
            // A number's own sign is part of it.
            let before_number = matches!(
                self.tokens.get(self.next + 1).map(|next| &next.token),
                Some(Token::Number(_))
            );
            if before_number && count == 0 {
                break;
            }
            self.next += 1;
            count += 1;
        }
        let operand = self.member()?;
        Some(match count % 2 {
            1 => self.call(at, "-_", vec![operand]),
            _ => operand,
        })
    }

    /// A primary expression and what is called on it, selected or indexed.
    fn member(&mut self) -> Option<Expression> {
        let mut operand = self.primary()?;
        loop {
            let at = self.peek().at;
            if self.accept(".") {
                let optional = self.accept("?");
                operand = self.after_dot(operand, at, optional)?;
            } else if self.accept("[") {
                let function = if self.accept("?") { "_[?_]" } else { "_[_]" };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.call(at, function, vec![operand, index]);
            } else {
                return Some(operand);
            }
            self.bounded(&operand, at)?;
        }
    }

    fn after_dot(&mut self, operand: Expression, at: usize, optional: bool) -> Option<Expression> {
        let name = self.take();
        let Token::Ident(field) = name.token else {
            self.next -= 1;
            self.unexpected("IDENTIFIER");
            return None;
        };
        if optional {
            let field = Kind::Constant(Constant::String(field.into()));
            let field = self.node(name.at, field);
            return Some(self.call(at, "_?._", vec![operand, field]));
        }
        let open = self.peek().at;
        if !self.accept("(") {
            let operand = Box::new(operand);
            let test = false;
            let kind = Kind::Select {
                operand,
                field,
                test,
            };
            return Some(self.node(at, kind));
        }
        let args = self.arguments(")")?;
        macros::expand(self, open, field, Some(operand), args)
    }

    fn arguments(&mut self, close: &'static str) -> Option<Vec<Expression>> {
        let mut args = Vec::new();
        if self.accept(close) {
            return Some(args);
        }
        loop {
            args.push(self.expression()?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(close)?;
        Some(args)
    }

    fn primary(&mut self) -> Option<Expression> {
        let start = self.take();
        match start.token {
            Token::Constant(constant) => Some(self.node(start.at, Kind::Constant(constant))),
            Token::Number(text) => self.number(start.at, &text, false),
            Token::Sign("-") => {
                let number = self.take();
                match number.token {
                    Token::Number(text) => self.number(start.at, &text, true),
                    _ => {
                        self.next -= 1;
                        self.unexpected("NUM_INT");
                        None
                    }
                }
            }
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Some(inner)
            }
            Token::Sign("[") => self.list(start.at),
            Token::Sign("{") => self.map(start.at),
            Token::Sign(".") => {
                let name = self.take();
                match name.token {
                    Token::Ident(ident) => self.ident(name.at, format!(".{ident}")),
                    _ => {
                        self.next -= 1;
                        self.unexpected("IDENTIFIER");
                        None
                    }
                }
            }
            Token::Ident(name) => self.ident(start.at, name),
            Token::Sign(_) | Token::End => {
                self.next -= 1;
                self.unexpected(
                    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', \
                     NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
                );
                None
            }
        }
    }

    fn number(&mut self, at: usize, text: &str, negative: bool) -> Option<Expression> {
        match literal::number(text, negative) {
            Ok(constant) => Some(self.node(at, Kind::Constant(constant))),
            Err(words) => {
                self.issue(at, words);
                None
            }
        }
    }

    /// A variable, a call, or an object made of fields.
    fn ident(&mut self, at: usize, name: String) -> Option<Expression> {
        let bare = name.strip_prefix('.').unwrap_or(&name);
        if RESERVED.contains(&bare) {
            self.issue(at, format!("reserved identifier: {bare}"));
            return None;
        }
        if let Some(message) = self.object_ahead(&name) {
            return self.object(message);
        }
        let open = self.peek().at;
        if self.accept("(") {
            let args = self.arguments(")")?;
            return macros::expand(self, open, name, None, args);
        }
        Some(self.node(at, Kind::Ident(name)))
    }

    /// The name of the object that is made here, if one is: names between dots, then `{`.
    fn object_ahead(&self, first: &str) -> Option<(String, usize)> {
        let mut name = first.to_owned();
        let mut next = self.next;
        loop {
            match &self.tokens.get(next)?.token {
                Token::Sign("{") => return Some((name, next)),
                Token::Sign(".") => match &self.tokens.get(next + 1)?.token {
                    Token::Ident(part) => name = format!("{name}.{part}"),
                    _ => return None,
                },
                _ => return None,
            }
            next += 2;
        }
    }

    fn object(&mut self, (name, brace): (String, usize)) -> Option<Expression> {
        self.next = brace;
        let at = self.take().at;
        let mut fields = Vec::new();
        while !self.accept("}") {
            let optional = self.accept("?");
            let start = self.take();
            let Token::Ident(field) = start.token else {
                self.next -= 1;
                self.unexpected("IDENTIFIER");
                return None;
            };
            let colon = self.peek().at;
            self.expect(":")?;
            let value = self.expression()?;
            let id = self.places.len();
            self.places.push(colon);
            fields.push(Field {
                id,
                name: field,
                value,
                optional,
            });
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Some(self.node(at, Kind::Struct { name, fields }))
    }

    fn list(&mut self, at: usize) -> Option<Expression> {
        let mut items = Vec::new();
        while !self.accept("]") {
            let optional = self.accept("?");
            items.push((self.expression()?, optional));
            if !self.accept(",") {
                self.expect("]")?;
                break;
            }
        }
        Some(self.node(at, Kind::List(items)))
    }

    fn map(&mut self, at: usize) -> Option<Expression> {
        let mut entries = Vec::new();
        while !self.accept("}") {
            let optional = self.accept("?");
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push(Entry {
                key,
                value,
                optional,
            });
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        Some(self.node(at, Kind::Map(entries)))
    }
}
