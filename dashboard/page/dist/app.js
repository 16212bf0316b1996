"use strict";
(() => {
  // node_modules/preact/dist/preact.module.js
  var n, l, u, t, i, r, o, e, f, c, a, s, h, p, v, y, d = {}, w = [], _ = /acit|ex(?:s|g|n|p|$)|rph|grid|ows|mnc|ntw|ine[ch]|zoo|^ord|itera/i, g = Array.isArray;
  function m(n2, l3) {
    for (var u4 in l3) n2[u4] = l3[u4];
    return n2;
  }
  function b(n2) {
    n2 && n2.parentNode && n2.parentNode.removeChild(n2);
  }
  function k(l3, u4, t3) {
    var i3, r3, o3, e3 = {};
    for (o3 in u4) o3 == "key" ? i3 = u4[o3] : o3 == "ref" ? r3 = u4[o3] : e3[o3] = u4[o3];
    if (arguments.length > 2 && (e3.children = arguments.length > 3 ? n.call(arguments, 2) : t3), typeof l3 == "function" && l3.defaultProps != null) for (o3 in l3.defaultProps) e3[o3] === void 0 && (e3[o3] = l3.defaultProps[o3]);
    return x(l3, e3, i3, r3, null);
  }
  function x(n2, t3, i3, r3, o3) {
    var e3 = { type: n2, props: t3, key: i3, ref: r3, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: void 0, __v: o3 ?? ++u, __i: -1, __u: 0 };
    return o3 == null && l.vnode != null && l.vnode(e3), e3;
  }
  function S(n2) {
    return n2.children;
  }
  function C(n2, l3) {
    this.props = n2, this.context = l3;
  }
  function $(n2, l3) {
    if (l3 == null) return n2.__ ? $(n2.__, n2.__i + 1) : null;
    for (var u4; l3 < n2.__k.length; l3++) if ((u4 = n2.__k[l3]) != null && u4.__e != null) return u4.__e;
    return typeof n2.type == "function" ? $(n2) : null;
  }
  function I(n2) {
    if (n2.__P && n2.__d) {
      var u4 = n2.__v, t3 = u4.__e, i3 = [], r3 = [], o3 = m({}, u4);
      o3.__v = u4.__v + 1, l.vnode && l.vnode(o3), q(n2.__P, o3, u4, n2.__n, n2.__P.namespaceURI, 32 & u4.__u ? [t3] : null, i3, t3 ?? $(u4), !!(32 & u4.__u), r3), o3.__v = u4.__v, o3.__.__k[o3.__i] = o3, D(i3, o3, r3), u4.__e = u4.__ = null, o3.__e != t3 && P(o3);
    }
  }
  function P(n2) {
    if ((n2 = n2.__) != null && n2.__c != null) return n2.__e = n2.__c.base = null, n2.__k.some(function(l3) {
      if (l3 != null && l3.__e != null) return n2.__e = n2.__c.base = l3.__e;
    }), P(n2);
  }
  function A(n2) {
    (!n2.__d && (n2.__d = !0) && i.push(n2) && !H.__r++ || r != l.debounceRendering) && ((r = l.debounceRendering) || o)(H);
  }
  function H() {
    try {
      for (var n2, l3 = 1; i.length; ) i.length > l3 && i.sort(e), n2 = i.shift(), l3 = i.length, I(n2);
    } finally {
      i.length = H.__r = 0;
    }
  }
  function L(n2, l3, u4, t3, i3, r3, o3, e3, f4, c3, a3) {
    var s3, h3, p3, v3, y3, _3, g2 = t3 && t3.__k || w, m3 = l3.length;
    for (f4 = T(u4, l3, g2, f4, m3), s3 = 0; s3 < m3; s3++) (p3 = u4.__k[s3]) != null && (h3 = p3.__i != -1 && g2[p3.__i] || d, p3.__i = s3, _3 = q(n2, p3, h3, i3, r3, o3, e3, f4, c3, a3), v3 = p3.__e, p3.ref && h3.ref != p3.ref && (h3.ref && J(h3.ref, null, p3), a3.push(p3.ref, p3.__c || v3, p3)), y3 == null && v3 != null && (y3 = v3), 4 & p3.__u ? (f4 = j(p3, f4, n2), h3.__e && (h3.__e = null)) : typeof p3.type == "function" && _3 !== void 0 ? f4 = _3 : v3 && (f4 = v3.nextSibling), p3.__u &= -7);
    return u4.__e = y3, f4;
  }
  function T(n2, l3, u4, t3, i3) {
    var r3, o3, e3, f4, c3, a3 = u4.length, s3 = a3, h3 = 0;
    for (n2.__k = new Array(i3), r3 = 0; r3 < i3; r3++) (o3 = l3[r3]) != null && typeof o3 != "boolean" && typeof o3 != "function" ? (typeof o3 == "string" || typeof o3 == "number" || typeof o3 == "bigint" || o3.constructor == String ? o3 = n2.__k[r3] = x(null, o3, null, null, null) : g(o3) ? o3 = n2.__k[r3] = x(S, { children: o3 }, null, null, null) : o3.constructor === void 0 && o3.__b > 0 ? o3 = n2.__k[r3] = x(o3.type, o3.props, o3.key, o3.ref ? o3.ref : null, o3.__v) : n2.__k[r3] = o3, f4 = r3 + h3, o3.__ = n2, o3.__b = n2.__b + 1, e3 = null, (c3 = o3.__i = O(o3, u4, f4, s3)) != -1 && (s3--, (e3 = u4[c3]) && (e3.__u |= 2)), e3 == null || e3.__v == null ? (c3 == -1 && (i3 > a3 ? h3-- : i3 < a3 && h3++), typeof o3.type != "function" && (o3.__u |= 4)) : c3 != f4 && (c3 == f4 - 1 ? h3-- : c3 == f4 + 1 ? h3++ : (c3 > f4 ? h3-- : h3++, o3.__u |= 4))) : n2.__k[r3] = null;
    if (s3) for (r3 = 0; r3 < a3; r3++) (e3 = u4[r3]) != null && (2 & e3.__u) == 0 && (e3.__e == t3 && (t3 = $(e3)), K(e3, e3));
    return t3;
  }
  function j(n2, l3, u4) {
    var t3, i3;
    if (typeof n2.type == "function") {
      for (t3 = n2.__k, i3 = 0; t3 && i3 < t3.length; i3++) t3[i3] && (t3[i3].__ = n2, l3 = j(t3[i3], l3, u4));
      return l3;
    }
    n2.__e != l3 && (l3 && n2.type && !l3.parentNode && (l3 = $(n2)), l3 = u4.insertBefore(n2.__e, l3 || null));
    do
      l3 = l3 && l3.nextSibling;
    while (l3 != null && l3.nodeType == 8);
    return l3;
  }
  function O(n2, l3, u4, t3) {
    var i3, r3, o3, e3 = n2.key, f4 = n2.type, c3 = l3[u4], a3 = c3 != null && (2 & c3.__u) == 0;
    if (c3 === null && e3 == null || a3 && e3 == c3.key && f4 == c3.type) return u4;
    if (t3 > (a3 ? 1 : 0)) {
      for (i3 = u4 - 1, r3 = u4 + 1; i3 >= 0 || r3 < l3.length; ) if ((c3 = l3[o3 = i3 >= 0 ? i3-- : r3++]) != null && (2 & c3.__u) == 0 && e3 == c3.key && f4 == c3.type) return o3;
    }
    return -1;
  }
  function z(n2, l3, u4) {
    l3[0] == "-" ? n2.setProperty(l3, u4 ?? "") : n2[l3] = u4 == null ? "" : typeof u4 != "number" || _.test(l3) ? u4 : u4 + "px";
  }
  function N(n2, l3, u4, t3, i3) {
    var r3, o3;
    n: if (l3 == "style") if (typeof u4 == "string") n2.style.cssText = u4;
    else {
      if (typeof t3 == "string" && (n2.style.cssText = t3 = ""), t3) for (l3 in t3) u4 && l3 in u4 || z(n2.style, l3, "");
      if (u4) for (l3 in u4) t3 && u4[l3] == t3[l3] || z(n2.style, l3, u4[l3]);
    }
    else if (l3[0] == "o" && l3[1] == "n") r3 = l3 != (l3 = l3.replace(s, "$1")), o3 = l3.toLowerCase(), l3 = o3 in n2 || l3 == "onFocusOut" || l3 == "onFocusIn" ? o3.slice(2) : l3.slice(2), n2.l || (n2.l = {}), n2.l[l3 + r3] = u4, u4 ? t3 ? u4[a] = t3[a] : (u4[a] = h, n2.addEventListener(l3, r3 ? v : p, r3)) : n2.removeEventListener(l3, r3 ? v : p, r3);
    else {
      if (i3 == "http://www.w3.org/2000/svg") l3 = l3.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
      else if (l3 != "width" && l3 != "height" && l3 != "href" && l3 != "list" && l3 != "form" && l3 != "tabIndex" && l3 != "download" && l3 != "rowSpan" && l3 != "colSpan" && l3 != "role" && l3 != "popover" && l3 in n2) try {
        n2[l3] = u4 ?? "";
        break n;
      } catch {
      }
      typeof u4 == "function" || (u4 == null || u4 === !1 && l3[4] != "-" ? n2.removeAttribute(l3) : n2.setAttribute(l3, l3 == "popover" && u4 == 1 ? "" : u4));
    }
  }
  function V(n2) {
    return function(u4) {
      if (this.l) {
        var t3 = this.l[u4.type + n2];
        if (u4[c] == null) u4[c] = h++;
        else if (u4[c] < t3[a]) return;
        return t3(l.event ? l.event(u4) : u4);
      }
    };
  }
  function q(n2, u4, t3, i3, r3, o3, e3, f4, c3, a3) {
    var s3, h3, p3, v3, y3, d3, _3, k3, x3, M, I2, P2, A3, H2, T3, j3, F = u4.type;
    if (u4.constructor !== void 0) return null;
    128 & t3.__u && (c3 = !!(32 & t3.__u), o3 = [f4 = u4.__e = t3.__e]), (s3 = l.__b) && s3(u4);
    n: if (typeof F == "function") {
      h3 = e3.length;
      try {
        if (x3 = u4.props, M = F.prototype && F.prototype.render, I2 = (s3 = F.contextType) && i3[s3.__c], P2 = s3 ? I2 ? I2.props.value : s3.__ : i3, t3.__c ? k3 = (p3 = u4.__c = t3.__c).__ = p3.__E : (M ? u4.__c = p3 = new F(x3, P2) : (u4.__c = p3 = new C(x3, P2), p3.constructor = F, p3.render = Q), I2 && I2.sub(p3), p3.state || (p3.state = {}), p3.__n = i3, v3 = p3.__d = !0, p3.__h = [], p3._sb = []), M && p3.__s == null && (p3.__s = p3.state), M && F.getDerivedStateFromProps != null && (p3.__s == p3.state && (p3.__s = m({}, p3.__s)), m(p3.__s, F.getDerivedStateFromProps(x3, p3.__s))), y3 = p3.props, d3 = p3.state, p3.__v = u4, v3) M && F.getDerivedStateFromProps == null && p3.componentWillMount != null && p3.componentWillMount(), M && p3.componentDidMount != null && p3.__h.push(p3.componentDidMount);
        else {
          if (M && F.getDerivedStateFromProps == null && x3 !== y3 && p3.componentWillReceiveProps != null && p3.componentWillReceiveProps(x3, P2), u4.__v == t3.__v || !p3.__e && p3.shouldComponentUpdate != null && p3.shouldComponentUpdate(x3, p3.__s, P2) === !1) {
            u4.__v != t3.__v && (p3.props = x3, p3.state = p3.__s, p3.__d = !1), u4.__e = t3.__e, u4.__k = t3.__k, u4.__k.some(function(n3) {
              n3 && (n3.__ = u4);
            }), w.push.apply(p3.__h, p3._sb), p3._sb = [], p3.__h.length && e3.push(p3), f4 = $(t3);
            break n;
          }
          p3.componentWillUpdate != null && p3.componentWillUpdate(x3, p3.__s, P2), M && p3.componentDidUpdate != null && p3.__h.push(function() {
            p3.componentDidUpdate(y3, d3, _3);
          });
        }
        if (p3.context = P2, p3.props = x3, p3.__P = n2, p3.__e = !1, A3 = l.__r, H2 = 0, M) p3.state = p3.__s, p3.__d = !1, A3 && A3(u4), s3 = p3.render(p3.props, p3.state, p3.context), w.push.apply(p3.__h, p3._sb), p3._sb = [];
        else do
          p3.__d = !1, A3 && A3(u4), s3 = p3.render(p3.props, p3.state, p3.context), p3.state = p3.__s;
        while (p3.__d && ++H2 < 25);
        p3.state = p3.__s, p3.getChildContext != null && (i3 = m(m({}, i3), p3.getChildContext())), M && !v3 && p3.getSnapshotBeforeUpdate != null && (_3 = p3.getSnapshotBeforeUpdate(y3, d3)), T3 = s3 != null && s3.type === S && s3.key == null ? E(s3.props.children) : s3, f4 = L(n2, g(T3) ? T3 : [T3], u4, t3, i3, r3, o3, e3, f4, c3, a3), p3.base = u4.__e, u4.__u &= -161, p3.__h.length && e3.push(p3), k3 && (p3.__E = p3.__ = null);
      } catch (n3) {
        if (e3.length = h3, u4.__v = null, c3 || o3 != null) {
          if (n3.then) {
            for (u4.__u |= c3 ? 160 : 128; f4 && f4.nodeType == 8 && f4.nextSibling; ) f4 = f4.nextSibling;
            o3 != null && (o3[o3.indexOf(f4)] = null), u4.__e = f4;
          } else if (o3 != null) for (j3 = o3.length; j3--; ) b(o3[j3]);
        } else u4.__e = t3.__e;
        u4.__k == null && (u4.__k = t3.__k || []), n3.then || B(u4), l.__e(n3, u4, t3);
      }
    } else o3 == null && u4.__v == t3.__v ? (u4.__k = t3.__k, u4.__e = t3.__e) : f4 = u4.__e = G(t3.__e, u4, t3, i3, r3, o3, e3, c3, a3);
    return (s3 = l.diffed) && s3(u4), 128 & u4.__u ? void 0 : f4;
  }
  function B(n2) {
    n2 && (n2.__c && (n2.__c.__e = !0), n2.__k && n2.__k.some(B));
  }
  function D(n2, u4, t3) {
    for (var i3 = 0; i3 < t3.length; i3++) J(t3[i3], t3[++i3], t3[++i3]);
    l.__c && l.__c(u4, n2), n2.some(function(u5) {
      try {
        n2 = u5.__h, u5.__h = [], n2.some(function(n3) {
          n3.call(u5);
        });
      } catch (n3) {
        l.__e(n3, u5.__v);
      }
    });
  }
  function E(n2) {
    return typeof n2 != "object" || n2 == null || n2.__b > 0 ? n2 : g(n2) ? n2.map(E) : n2.constructor !== void 0 ? null : m({}, n2);
  }
  function G(u4, t3, i3, r3, o3, e3, f4, c3, a3) {
    var s3, h3, p3, v3, y3, w3, _3, m3 = i3.props || d, k3 = t3.props, x3 = t3.type;
    if (x3 == "svg" ? o3 = "http://www.w3.org/2000/svg" : x3 == "math" ? o3 = "http://www.w3.org/1998/Math/MathML" : o3 || (o3 = "http://www.w3.org/1999/xhtml"), e3 != null) {
      for (s3 = 0; s3 < e3.length; s3++) if ((y3 = e3[s3]) && "setAttribute" in y3 == !!x3 && (x3 ? y3.localName == x3 : y3.nodeType == 3)) {
        u4 = y3, e3[s3] = null;
        break;
      }
    }
    if (u4 == null) {
      if (x3 == null) return document.createTextNode(k3);
      u4 = document.createElementNS(o3, x3, k3.is && k3), c3 && (l.__m && l.__m(t3, e3), c3 = !1), e3 = null;
    }
    if (x3 == null) m3 === k3 || c3 && u4.data == k3 || (u4.data = k3);
    else {
      if (e3 = x3 == "textarea" && k3.defaultValue != null ? null : e3 && n.call(u4.childNodes), !c3 && e3 != null) for (m3 = {}, s3 = 0; s3 < u4.attributes.length; s3++) m3[(y3 = u4.attributes[s3]).name] = y3.value;
      for (s3 in m3) y3 = m3[s3], s3 == "dangerouslySetInnerHTML" ? p3 = y3 : s3 == "children" || s3 in k3 || s3 == "value" && "defaultValue" in k3 || s3 == "checked" && "defaultChecked" in k3 || N(u4, s3, null, y3, o3);
      for (s3 in k3) y3 = k3[s3], s3 == "children" ? v3 = y3 : s3 == "dangerouslySetInnerHTML" ? h3 = y3 : s3 == "value" ? w3 = y3 : s3 == "checked" ? _3 = y3 : c3 && typeof y3 != "function" || m3[s3] === y3 || N(u4, s3, y3, m3[s3], o3);
      if (h3) c3 || p3 && (h3.__html == p3.__html || h3.__html == u4.innerHTML) || (u4.innerHTML = h3.__html), t3.__k = [];
      else if (p3 && (u4.innerHTML = ""), L(t3.type == "template" ? u4.content : u4, g(v3) ? v3 : [v3], t3, i3, r3, x3 == "foreignObject" ? "http://www.w3.org/1999/xhtml" : o3, e3, f4, e3 ? e3[0] : i3.__k && $(i3, 0), c3, a3), e3 != null) for (s3 = e3.length; s3--; ) b(e3[s3]);
      c3 && x3 != "textarea" || (s3 = "value", x3 == "progress" && w3 == null ? u4.removeAttribute("value") : w3 != null && (w3 !== u4[s3] || x3 == "progress" && !w3 || x3 == "option" && w3 != m3[s3]) && N(u4, s3, w3, m3[s3], o3), s3 = "checked", _3 != null && _3 != u4[s3] && N(u4, s3, _3, m3[s3], o3));
    }
    return u4;
  }
  function J(n2, u4, t3) {
    try {
      if (typeof n2 == "function") {
        var i3 = typeof n2.__u == "function";
        i3 && n2.__u(), i3 && u4 == null || (n2.__u = n2(u4));
      } else n2.current = u4;
    } catch (n3) {
      l.__e(n3, t3);
    }
  }
  function K(n2, u4, t3) {
    var i3, r3;
    if (l.unmount && l.unmount(n2), (i3 = n2.ref) && (i3.current && i3.current != n2.__e || J(i3, null, u4)), (i3 = n2.__c) != null) {
      if (i3.componentWillUnmount) try {
        i3.componentWillUnmount();
      } catch (n3) {
        l.__e(n3, u4);
      }
      i3.base = i3.__P = i3.__n = null;
    }
    if (i3 = n2.__k) for (r3 = 0; r3 < i3.length; r3++) i3[r3] && K(i3[r3], u4, t3 || typeof n2.type != "function");
    t3 || b(n2.__e), n2.__c = n2.__ = n2.__e = void 0;
  }
  function Q(n2, l3, u4) {
    return this.constructor(n2, u4);
  }
  function R(u4, t3, i3) {
    var r3, o3, e3, f4;
    t3 == document && (t3 = document.documentElement), l.__ && l.__(u4, t3), o3 = (r3 = typeof i3 == "function") ? null : i3 && i3.__k || t3.__k, e3 = [], f4 = [], q(t3, u4 = (!r3 && i3 || t3).__k = k(S, null, [u4]), o3 || d, d, t3.namespaceURI, !r3 && i3 ? [i3] : o3 ? null : t3.firstChild ? n.call(t3.childNodes) : null, e3, !r3 && i3 ? i3 : o3 ? o3.__e : t3.firstChild, r3, f4), D(e3, u4, f4), u4.props.children = null;
  }
  function X(n2) {
    function l3(n3) {
      var u4, t3;
      return this.getChildContext || (u4 = /* @__PURE__ */ new Set(), (t3 = {})[l3.__c] = this, this.getChildContext = function() {
        return t3;
      }, this.componentWillUnmount = function() {
        u4 = null;
      }, this.shouldComponentUpdate = function(n4) {
        this.props.value != n4.value && u4.forEach(function(n5) {
          n5.__e = !0, A(n5);
        });
      }, this.sub = function(n4) {
        u4.add(n4);
        var l4 = n4.componentWillUnmount;
        n4.componentWillUnmount = function() {
          u4 && u4.delete(n4), l4 && l4.call(n4);
        };
      }), n3.children;
    }
    return l3.__c = "__cC" + y++, l3.__ = n2, l3.Provider = l3.__l = (l3.Consumer = function(n3, l4) {
      return n3.children(l4);
    }).contextType = l3, l3;
  }
  n = w.slice, l = { __e: function(n2, l3, u4, t3) {
    for (var i3, r3, o3; l3 = l3.__; ) if ((i3 = l3.__c) && !i3.__) try {
      if ((r3 = i3.constructor) && r3.getDerivedStateFromError != null && (i3.setState(r3.getDerivedStateFromError(n2)), o3 = i3.__d), i3.componentDidCatch != null && (i3.componentDidCatch(n2, t3 || {}), o3 = i3.__d), o3) return i3.__E = i3;
    } catch (l4) {
      n2 = l4;
    }
    throw n2;
  } }, u = 0, t = function(n2) {
    return n2 != null && n2.constructor === void 0;
  }, C.prototype.setState = function(n2, l3) {
    var u4;
    u4 = this.__s != null && this.__s != this.state ? this.__s : this.__s = m({}, this.state), typeof n2 == "function" && (n2 = n2(m({}, u4), this.props)), n2 && m(u4, n2), n2 != null && this.__v && (l3 && this._sb.push(l3), A(this));
  }, C.prototype.forceUpdate = function(n2) {
    this.__v && (this.__e = !0, n2 && this.__h.push(n2), A(this));
  }, C.prototype.render = S, i = [], o = typeof Promise == "function" ? Promise.prototype.then.bind(Promise.resolve()) : setTimeout, e = function(n2, l3) {
    return n2.__v.__b - l3.__v.__b;
  }, H.__r = 0, f = Math.random().toString(8), c = "__d" + f, a = "__a" + f, s = /(PointerCapture)$|Capture$/i, h = 0, p = V(!1), v = V(!0), y = 0;

  // node_modules/preact/hooks/dist/hooks.module.js
  var t2, r2, u2, i2, o2 = 0, f2 = [], c2 = l, e2 = c2.__b, a2 = c2.__r, v2 = c2.diffed, l2 = c2.__c, m2 = c2.unmount, p2 = c2.__;
  function s2(n2, t3) {
    c2.__h && c2.__h(r2, n2, o2 || t3), o2 = 0;
    var u4 = r2.__H || (r2.__H = { __: [], __h: [] });
    return n2 >= u4.__.length && u4.__.push({}), u4.__[n2];
  }
  function d2(n2) {
    return o2 = 1, y2(D2, n2);
  }
  function y2(n2, u4, i3) {
    var o3 = s2(t2++, 2);
    if (o3.t = n2, !o3.__c && (o3.__ = [i3 ? i3(u4) : D2(void 0, u4), function(n3) {
      var t3 = o3.__N ? o3.__N[0] : o3.__[0], r3 = o3.t(t3, n3);
      t3 !== r3 && (o3.__N = [r3, o3.__[1]], o3.__c.setState({}));
    }], o3.__c = r2, !r2.__f)) {
      var f4 = function(n3, t3, r3) {
        if (!o3.__c.__H) return !0;
        var u5 = !1, i4 = o3.__c.props !== n3;
        if (o3.__c.__H.__.some(function(n4) {
          if (n4.__N) {
            u5 = !0;
            var t4 = n4.__[0];
            n4.__ = n4.__N, n4.__N = void 0, t4 !== n4.__[0] && (i4 = !0);
          }
        }), c3) {
          var f5 = c3.call(this, n3, t3, r3);
          return u5 ? f5 || i4 : f5;
        }
        return !u5 || i4;
      };
      r2.__f = !0;
      var c3 = r2.shouldComponentUpdate, e3 = r2.componentWillUpdate;
      r2.componentWillUpdate = function(n3, t3, r3) {
        if (this.__e) {
          var u5 = c3;
          c3 = void 0, f4(n3, t3, r3), c3 = u5;
        }
        e3 && e3.call(this, n3, t3, r3);
      }, r2.shouldComponentUpdate = f4;
    }
    return o3.__N || o3.__;
  }
  function h2(n2, u4) {
    var i3 = s2(t2++, 3);
    !c2.__s && C2(i3.__H, u4) && (i3.__ = n2, i3.u = u4, r2.__H.__h.push(i3));
  }
  function _2(n2, u4) {
    var i3 = s2(t2++, 4);
    !c2.__s && C2(i3.__H, u4) && (i3.__ = n2, i3.u = u4, r2.__h.push(i3));
  }
  function A2(n2) {
    return o2 = 5, T2(function() {
      return { current: n2 };
    }, []);
  }
  function T2(n2, r3) {
    var u4 = s2(t2++, 7);
    return C2(u4.__H, r3) && (u4.__ = n2(), u4.__H = r3, u4.__h = n2), u4.__;
  }
  function x2(n2) {
    var u4 = r2.context[n2.__c], i3 = s2(t2++, 9);
    return i3.c = n2, u4 ? (i3.__ == null && (i3.__ = !0, u4.sub(r2)), u4.props.value) : n2.__;
  }
  function j2() {
    for (var n2; n2 = f2.shift(); ) {
      var t3 = n2.__H;
      if (n2.__P && t3) try {
        t3.__h.some(z2), t3.__h.some(B2), t3.__h = [];
      } catch (r3) {
        t3.__h = [], c2.__e(r3, n2.__v);
      }
    }
  }
  c2.__b = function(n2) {
    r2 = null, e2 && e2(n2);
  }, c2.__ = function(n2, t3) {
    n2 && t3.__k && t3.__k.__m && (n2.__m = t3.__k.__m), p2 && p2(n2, t3);
  }, c2.__r = function(n2) {
    a2 && a2(n2), t2 = 0;
    var i3 = (r2 = n2.__c).__H;
    i3 && (u2 === r2 ? (i3.__h = [], r2.__h = [], i3.__.some(function(n3) {
      n3.__N && (n3.__ = n3.__N), n3.u = n3.__N = void 0;
    })) : (i3.__h.some(z2), i3.__h.some(B2), i3.__h = [], t2 = 0)), u2 = r2;
  }, c2.diffed = function(n2) {
    v2 && v2(n2);
    var t3 = n2.__c;
    t3 && t3.__H && (t3.__H.__h.length && (f2.push(t3) !== 1 && i2 === c2.requestAnimationFrame || ((i2 = c2.requestAnimationFrame) || w2)(j2)), t3.__H.__.some(function(n3) {
      n3.u && (n3.__H = n3.u, n3.u = void 0);
    })), u2 = r2 = null;
  }, c2.__c = function(n2, t3) {
    t3.some(function(n3) {
      try {
        n3.__h.some(z2), n3.__h = n3.__h.filter(function(n4) {
          return !n4.__ || B2(n4);
        });
      } catch (r3) {
        t3.some(function(n4) {
          n4.__h && (n4.__h = []);
        }), t3 = [], c2.__e(r3, n3.__v);
      }
    }), l2 && l2(n2, t3);
  }, c2.unmount = function(n2) {
    m2 && m2(n2);
    var t3, r3 = n2.__c;
    r3 && r3.__H && (r3.__H.__.some(function(n3) {
      try {
        z2(n3);
      } catch (n4) {
        t3 = n4;
      }
    }), r3.__H = void 0, t3 && c2.__e(t3, r3.__v));
  };
  var k2 = typeof requestAnimationFrame == "function";
  function w2(n2) {
    var t3, r3 = function() {
      clearTimeout(u4), k2 && cancelAnimationFrame(t3), setTimeout(n2);
    }, u4 = setTimeout(r3, 35);
    k2 && (t3 = requestAnimationFrame(r3));
  }
  function z2(n2) {
    var t3 = r2, u4 = n2.__c;
    typeof u4 == "function" && (n2.__c = void 0, u4()), r2 = t3;
  }
  function B2(n2) {
    var t3 = r2;
    n2.__c = n2.__(), r2 = t3;
  }
  function C2(n2, t3) {
    return !n2 || n2.length !== t3.length || t3.some(function(t4, r3) {
      return t4 !== n2[r3];
    });
  }
  function D2(n2, t3) {
    return typeof t3 == "function" ? t3(n2) : t3;
  }

  // src/cluster/api.ts
  var ApiError = class extends Error {
    constructor(code, reason, message) {
      super(message);
      this.code = code;
      this.reason = reason;
    }
  };
  function errorOf(status) {
    return new ApiError(status.code ?? 0, status.reason ?? "", status.message ?? "refused without a reason");
  }
  var onLogout = () => {
  };
  function whenLoggedOut(handler) {
    onLogout = handler;
  }
  var Media = {
    json: "application/json",
    mergePatch: "application/merge-patch+json",
    strategicPatch: "application/strategic-merge-patch+json",
    jsonPatch: "application/json-patch+json",
    apply: "application/apply-patch+yaml"
  }, TRIES = 3, PAUSE = 300;
  async function reach(url, request) {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await fetch(url, request);
      } catch (error) {
        if (request.signal?.aborted) throw error;
        if (request.method !== "GET" || attempt === TRIES)
          throw new ApiError(0, "Unreachable", "the dashboard's server does not answer");
        await new Promise((resolve) => setTimeout(resolve, PAUSE * attempt));
      }
  }
  async function send(url, call) {
    let headers = { Accept: call.accept ?? Media.json, "X-Hardway-Dashboard": "1" };
    call.body !== void 0 && (headers["Content-Type"] = call.contentType ?? Media.json);
    let query = call.query === void 0 ? "" : `?${new URLSearchParams(call.query)}`, body = call.body === void 0 ? void 0 : typeof call.body == "string" ? call.body : JSON.stringify(call.body), response = await reach(url + query, { method: call.method ?? "GET", headers, body, signal: call.signal });
    if (response.ok) return response;
    response.status === 401 && onLogout();
    let text2 = await response.text();
    try {
      throw errorOf(JSON.parse(text2));
    } catch (error) {
      throw error instanceof ApiError ? error : new ApiError(response.status, response.statusText, text2 || response.statusText);
    }
  }
  async function kube(path, call = {}) {
    return await (await send(`k8s${path}`, call)).json();
  }
  async function kubeWithWarnings(path, call) {
    let response = await send(`k8s${path}`, call);
    return { object: await response.json(), warnings: warningsOf(response.headers.get("Warning") ?? "") };
  }
  function warningsOf(header) {
    return [...header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) => (match[1] ?? "").replace(/\\(.)/g, "$1"));
  }
  async function stream(path, query, signal, onText) {
    let reader = (await send(`k8s${path}`, { accept: "*/*", query, signal })).body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader !== void 0)
      for (; ; ) {
        let { done, value } = await reader.read();
        if (done) return;
        onText(value);
      }
  }
  async function own(path, call = {}) {
    let response = await send(path, call);
    return response.status === 204 ? void 0 : await response.json();
  }
  function socketUrl(path) {
    return new URL(path, document.baseURI).href.replace(/^http/, "ws");
  }
  function wordsOf(error) {
    return error instanceof Error ? error.message : String(error);
  }

  // src/cluster/live.ts
  var LINGER = 5e3, PIECES = 200, EMPTY = { items: [], ready: !1, columns: [], more: 0 }, feeds = /* @__PURE__ */ new Map(), socket, lastId = 0, attempts = 0, changed = /* @__PURE__ */ new Set(), scheduled = !1, connected, watchers = /* @__PURE__ */ new Set();
  function setConnected(value) {
    connected = value;
    for (let watcher of watchers) watcher();
  }
  function open() {
    if (socket !== void 0) return;
    let opened = new WebSocket(socketUrl("live"));
    socket = opened, opened.onopen = () => {
      attempts = 0, setConnected(!0);
      for (let feed of feeds.values()) subscribe(feed);
    }, opened.onmessage = (message) => apply(JSON.parse(String(message.data))), opened.onclose = () => {
      socket === opened && (socket = void 0, setConnected(!1), attempts += 1, feeds.size > 0 && setTimeout(open, Math.min(1e4, 250 * 2 ** attempts)));
    };
  }
  function closeLive() {
    let closing = socket;
    socket = void 0, closing?.close(), feeds.clear(), changed.clear();
  }
  function say(message) {
    socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
  }
  function subscribe(feed) {
    say({ subscribe: { id: feed.id, ...feed.topic } });
  }
  function identity(item, index) {
    let whole = item;
    return whole.metadata?.uid ?? whole.object?.metadata?.uid ?? String(index);
  }
  function apply(batch) {
    let feed = [...feeds.values()].find((feed2) => feed2.id === batch.id);
    if (feed !== void 0) {
      batch.reset && feed.items.clear();
      for (let [index, item] of (batch.set ?? []).entries()) feed.items.set(identity(item, index), item);
      for (let uid2 of batch.gone ?? []) feed.items.delete(uid2);
      feed.listing = {
        items: feed.listing.items,
        ready: batch.ready ?? feed.listing.ready,
        columns: batch.columns ?? feed.listing.columns,
        error: batch.error ? errorOf(batch.error).message : void 0,
        more: batch.more ?? 0
      }, feed.stale = !0, changed.add(feed), schedule();
    }
  }
  function schedule() {
    scheduled || (scheduled = !0, requestAnimationFrame(announce));
  }
  function announce(now) {
    scheduled = !1;
    for (let feed of [...changed])
      if (!(!feed.listing.ready && now - feed.drawn < PIECES)) {
        changed.delete(feed), feed.drawn = now;
        for (let listener of feed.listeners) listener();
      }
    changed.size > 0 && (scheduled = !0, setTimeout(() => requestAnimationFrame(announce), PIECES / 4));
  }
  function current(feed) {
    return feed.stale && (feed.listing = { ...feed.listing, items: [...feed.items.values()] }, feed.stale = !1), feed.listing;
  }
  function feedOf(key) {
    let known2 = feeds.get(key);
    if (known2 !== void 0) return known2;
    lastId += 1;
    let feed = {
      id: String(lastId),
      topic: JSON.parse(key),
      items: /* @__PURE__ */ new Map(),
      listing: EMPTY,
      stale: !1,
      drawn: -PIECES,
      listeners: /* @__PURE__ */ new Set()
    };
    return feeds.set(key, feed), open(), subscribe(feed), feed;
  }
  function follow(topic, onChange) {
    let key = JSON.stringify(topic), feed = feedOf(key);
    clearTimeout(feed.parting);
    let listener = () => onChange(current(feed));
    return feed.listeners.add(listener), feed.listing !== EMPTY && listener(), () => {
      feed.listeners.delete(listener), !(feed.listeners.size > 0) && (feed.parting = setTimeout(() => {
        feed.listeners.size > 0 || feeds.get(key) !== feed || (feeds.delete(key), say({ unsubscribe: feed.id }));
      }, LINGER));
    };
  }
  function useLive(topic) {
    let [, redraw] = y2((count2) => count2 + 1, 0), key = topic === null ? "" : JSON.stringify(topic);
    h2(() => key === "" ? void 0 : follow(JSON.parse(key), () => redraw(0)), [key]);
    let feed = feeds.get(key);
    return feed === void 0 ? EMPTY : current(feed);
  }
  function useConnected() {
    let [, redraw] = y2((count2) => count2 + 1, 0);
    return h2(() => {
      let watcher = () => redraw(0);
      return watchers.add(watcher), () => void watchers.delete(watcher);
    }, []), connected ?? !0;
  }

  // src/cluster/permissions.ts
  function permission(verb, kind, namespace = "", name = "", subresource = "") {
    return {
      verb,
      group: kind.group,
      resource: kind.plural,
      ...subresource === "" ? {} : { subresource },
      ...namespace === "" || !kind.namespaced ? {} : { namespace },
      ...name === "" ? {} : { name }
    };
  }
  var FRESH = 3e4, answers = /* @__PURE__ */ new Map();
  function forgetPermissions() {
    answers.clear();
  }
  function mayI(wanted) {
    let key = JSON.stringify(wanted), known2 = answers.get(key);
    if (known2 !== void 0 && Date.now() - known2.at < FRESH) return known2.allowed;
    let allowed = kube("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      method: "POST",
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: wanted }
      }
    }).then(
      (review) => review.status?.allowed ?? !1,
      // Where one can't ask, trying shows what the API server says.
      () => !0
    );
    return answers.set(key, { at: Date.now(), allowed }), allowed;
  }
  function useMay(wanted) {
    let [allowed, setAllowed] = d2(), key = JSON.stringify(wanted);
    return h2(() => {
      let here = !0;
      return setAllowed(void 0), Promise.all(JSON.parse(key).map(mayI)).then((all) => {
        here && setAllowed(all.every((one) => one));
      }), () => {
        here = !1;
      };
    }, [key]), allowed;
  }
  function inWords({ verb, resource, subresource, namespace }) {
    let what = subresource === void 0 ? resource : `${resource}/${subresource}`;
    return `${verb} ${what}${namespace === void 0 ? "" : ` in ${namespace}`}`;
  }

  // src/cluster/session.ts
  function session() {
    return own("session");
  }
  function login(token) {
    return own("session", { method: "POST", body: { token } });
  }
  function logout() {
    return own("session", { method: "DELETE" });
  }
  var Context = X(void 0), ScopeProvider = Context.Provider;
  function useScope() {
    let scope = x2(Context);
    if (scope === void 0) throw new Error("no scope is set above this component");
    return scope;
  }

  // src/logic/route.ts
  function parseRoute(hash) {
    let [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2), [view = "", ...parts2] = path.split("/").map(decode);
    return { view: view || "cluster", parts: parts2.filter((part) => part !== ""), query: Object.fromEntries(new URLSearchParams(query)) };
  }
  function decode(part) {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  }

  // src/logic/age.ts
  var UNITS = [
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
    ["s", 1]
  ];
  function duration(milliseconds) {
    let seconds = Math.max(0, Math.floor(milliseconds / 1e3));
    if (seconds < 120) return `${seconds}s`;
    if (seconds > 730 * 86400) return `${Math.floor(seconds / (365 * 86400))}y`;
    let index = UNITS.findIndex(([, length2]) => seconds >= 2 * length2), [unit, length] = UNITS[index] ?? ["s", 1], first = Math.floor(seconds / length), next = UNITS[index + 1];
    if (next === void 0 || first >= 10) return `${first}${unit}`;
    let rest = Math.floor(seconds % length / next[1]);
    return rest === 0 ? `${first}${unit}` : `${first}${unit}${rest}${next[0]}`;
  }
  function age(timestamp2, now) {
    let at = timestamp2 ? Date.parse(timestamp2) : Number.NaN;
    return Number.isNaN(at) ? "never" : duration(now - at);
  }
  function clock(milliseconds) {
    return new Date(milliseconds).toLocaleTimeString(void 0, { hour12: !1 });
  }

  // node_modules/preact/jsx-runtime/dist/jsxRuntime.module.js
  var f3 = 0;
  function u3(e3, t3, n2, o3, i3, u4) {
    t3 || (t3 = {});
    var a3, c3, p3 = t3;
    if ("ref" in p3) for (c3 in p3 = {}, t3) c3 == "ref" ? a3 = t3[c3] : p3[c3] = t3[c3];
    var l3 = { type: e3, props: p3, key: n2, ref: a3, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: void 0, __v: --f3, __i: -1, __u: 0, __source: i3, __self: u4 };
    if (typeof e3 == "function" && (a3 = e3.defaultProps)) for (c3 in a3) p3[c3] === void 0 && (p3[c3] = a3[c3]);
    return l.vnode && l.vnode(l3), l3;
  }

  // src/parts/basics.tsx
  function Heading({ title, kind, children }) {
    return h2(() => {
      document.title = `${title} · Kubernetes dashboard`;
    }, [title]), /* @__PURE__ */ u3("div", { class: "heading", children: [
      /* @__PURE__ */ u3("h1", { tabIndex: -1, children: [
        kind !== void 0 && /* @__PURE__ */ u3("span", { class: "kind", children: kind }),
        title
      ] }),
      /* @__PURE__ */ u3("div", { class: "actions", children })
    ] });
  }
  function Panel({ title, children, aside, wide = !1 }) {
    return /* @__PURE__ */ u3("section", { class: wide ? "panel wide" : "panel", children: [
      title !== void 0 && /* @__PURE__ */ u3("header", { children: [
        /* @__PURE__ */ u3("h2", { children: title }),
        aside
      ] }),
      children
    ] });
  }
  function Badge({ tone, children }) {
    return /* @__PURE__ */ u3("span", { class: `badge ${tone}`, children: [
      /* @__PURE__ */ u3("i", { class: "dot", "aria-hidden": "true" }),
      children
    ] });
  }
  function Failure({ children }) {
    return /* @__PURE__ */ u3("p", { class: "failure", role: "alert", children });
  }
  function Empty({ children }) {
    return /* @__PURE__ */ u3("p", { class: "empty", children });
  }
  function ListState({ listing, children }) {
    return /* @__PURE__ */ u3(S, { children: [
      listing.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: listing.error }),
      listing.error === void 0 && !listing.ready && listing.items.length === 0 ? /* @__PURE__ */ u3(Empty, { children: "Loading…" }) : children
    ] });
  }
  var tickers = /* @__PURE__ */ new Set();
  setInterval(() => {
    if (!document.hidden)
      for (let ticker of tickers) ticker();
  }, 1e3);
  function useNow() {
    let [, redraw] = y2((count2) => count2 + 1, 0);
    return h2(() => {
      let ticker = () => redraw(0);
      return tickers.add(ticker), () => void tickers.delete(ticker);
    }, []), Date.now();
  }
  function Age({ of }) {
    let [text2, setText] = d2(() => age(of, Date.now()));
    return h2(() => {
      let ticker = () => setText(age(of, Date.now()));
      return ticker(), tickers.add(ticker), () => void tickers.delete(ticker);
    }, [of]), /* @__PURE__ */ u3("time", { dateTime: of ?? void 0, title: of ?? void 0, children: text2 });
  }
  function Facts({ facts }) {
    return /* @__PURE__ */ u3("dl", { class: "facts", children: facts.filter(([, value]) => value !== void 0 && value !== "" && value !== null).map(([name, value]) => /* @__PURE__ */ u3("div", { children: [
      /* @__PURE__ */ u3("dt", { children: name }),
      /* @__PURE__ */ u3("dd", { children: value })
    ] }, name)) });
  }
  function Chips({ of }) {
    return /* @__PURE__ */ u3("span", { class: "chips", children: of.map((text2) => /* @__PURE__ */ u3("span", { class: "chip", children: text2 }, text2)) });
  }
  function Tabs({ of, current: current2, label: label2 }) {
    return /* @__PURE__ */ u3("nav", { class: "tabs", "aria-label": label2, children: of.map((tab) => /* @__PURE__ */ u3("a", { href: tab.href, "aria-current": tab.id === current2 ? "page" : void 0, children: tab.text }, tab.id)) });
  }
  function Dialog({ title, onClose, children, wide = !1 }) {
    let element = A2(null);
    return h2(() => {
      let before = document.activeElement, dialog = element.current;
      return dialog?.showModal(), () => {
        dialog?.close(), before instanceof HTMLElement && before.focus();
      };
    }, []), /* @__PURE__ */ u3(
      "dialog",
      {
        ref: element,
        class: wide ? "wide" : void 0,
        "aria-label": title,
        onCancel: (event) => {
          event.preventDefault(), onClose();
        },
        onClick: (event) => {
          event.target === element.current && onClose();
        },
        children: /* @__PURE__ */ u3("div", { class: "dialog", children: [
          /* @__PURE__ */ u3("header", { children: [
            /* @__PURE__ */ u3("h2", { children: title }),
            /* @__PURE__ */ u3("button", { type: "button", class: "icon", "aria-label": "Close", onClick: onClose, children: "✕" })
          ] }),
          children
        ] })
      }
    );
  }
  function Field({ label: label2, children }) {
    return /* @__PURE__ */ u3("label", { class: "field", children: [
      /* @__PURE__ */ u3("span", { children: label2 }),
      children
    ] });
  }

  // src/cluster/discovery.ts
  var ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
  async function discover() {
    return (await Promise.all(["/api", "/apis"].map((path) => kube(path, { accept: ACCEPT })))).flatMap((root2) => (root2.items ?? []).flatMap(ofGroup)).sort((one, other) => one.kind.localeCompare(other.kind) || one.group.localeCompare(other.group));
  }
  function ofGroup(item) {
    let seen = /* @__PURE__ */ new Set(), kinds = [];
    for (let { version, resources } of item.versions ?? [])
      for (let { resource, responseKind, scope, verbs } of resources ?? [])
        seen.has(resource) || !verbs?.includes("list") || (seen.add(resource), kinds.push({
          group: item.metadata?.name ?? "",
          version,
          plural: resource,
          kind: responseKind?.kind ?? resource,
          namespaced: scope === "Namespaced",
          verbs
        }));
    return kinds;
  }

  // src/cluster/kinds.ts
  function row(groupVersion2, plural, kind, namespaced = !0) {
    let [group, version] = groupVersion2.includes("/") ? groupVersion2.split("/") : ["", groupVersion2];
    return { group: group ?? "", version: version ?? "", plural, kind, namespaced };
  }
  var KINDS = [
    row("v1", "pods", "Pod"),
    row("v1", "nodes", "Node", !1),
    row("v1", "namespaces", "Namespace", !1),
    row("v1", "services", "Service"),
    row("v1", "events", "Event"),
    row("v1", "configmaps", "ConfigMap"),
    row("v1", "secrets", "Secret"),
    row("v1", "serviceaccounts", "ServiceAccount"),
    row("v1", "resourcequotas", "ResourceQuota"),
    row("v1", "limitranges", "LimitRange"),
    row("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    row("v1", "persistentvolumes", "PersistentVolume", !1),
    row("apps/v1", "deployments", "Deployment"),
    row("apps/v1", "statefulsets", "StatefulSet"),
    row("apps/v1", "daemonsets", "DaemonSet"),
    row("apps/v1", "replicasets", "ReplicaSet"),
    row("apps/v1", "controllerrevisions", "ControllerRevision"),
    row("batch/v1", "jobs", "Job"),
    row("batch/v1", "cronjobs", "CronJob"),
    row("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    row("networking.k8s.io/v1", "ingresses", "Ingress"),
    row("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    row("storage.k8s.io/v1", "storageclasses", "StorageClass", !1)
  ];
  function kindOf(plural) {
    let found = KINDS.find((kind) => kind.plural === plural);
    if (found === void 0) throw new Error(`no kind is called ${plural}`);
    return found;
  }
  function groupVersion(kind) {
    return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
  }
  function pathOf(kind, namespace = "", name = "", subresource = "") {
    let parts2 = [kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`];
    return kind.namespaced && namespace !== "" && parts2.push("namespaces", encodeURIComponent(namespace)), parts2.push(kind.plural), name !== "" && parts2.push(encodeURIComponent(name)), subresource !== "" && parts2.push(subresource), parts2.join("/");
  }
  function linkTo(kind, namespace, name, tab = "") {
    return `#/object/${[kind.group === "" ? "core" : kind.group, kind.version, kind.plural, namespace || "_", name].map(encodeURIComponent).join("/")}${tab === "" ? "" : `?tab=${tab}`}`;
  }
  function linkToReference(reference) {
    let kind = KINDS.find((known2) => known2.kind === reference.kind);
    if (!(kind === void 0 || reference.name === void 0))
      return linkTo(kind, kind.namespaced ? reference.namespace : void 0, reference.name);
  }

  // src/logic/search.ts
  function score(wanted, text2) {
    let query = wanted.toLowerCase(), target2 = text2.toLowerCase(), whole = target2.indexOf(query);
    if (whole >= 0) return 1e3 - whole - target2.length / 10 + (startsWord(target2, whole) ? 100 : 0);
    let points = 0, at = -1;
    for (let letter of query) {
      let next = target2.indexOf(letter, at + 1);
      if (next < 0) return;
      points += next === at + 1 ? 10 : startsWord(target2, next) ? 8 : 1 - Math.min(next - at, 10) / 10, at = next;
    }
    return points - target2.length / 10;
  }
  function startsWord(text2, index) {
    return index === 0 || /[^a-z0-9]/.test(text2[index - 1] ?? "");
  }
  function search(wanted, items, textOf2, limit) {
    let words = wanted.trim().split(/\s+/).filter((word) => word !== ""), found = [];
    for (let item of items) {
      let text2 = textOf2(item), points = 0, fits = !0;
      for (let word of words) {
        let of = score(word, text2);
        if (of === void 0) {
          fits = !1;
          break;
        }
        points += of;
      }
      fits && found.push({ item, points });
    }
    return found.sort((one, other) => other.points - one.points).slice(0, limit).map((entry) => entry.item);
  }
  function keeps(filter, text2) {
    let target2 = text2.toLowerCase();
    return filter.toLowerCase().split(/\s+/).every((word) => target2.includes(word));
  }

  // src/parts/memo.tsx
  function memo(draw) {
    class Kept extends C {
      shouldComponentUpdate(next) {
        let [before, after] = [Object.entries(this.props), next];
        return before.length !== Object.keys(next).length || before.some(([name, value]) => value !== after[name]);
      }
      render() {
        return k(draw, this.props);
      }
    }
    return (props) => k(Kept, props);
  }

  // src/parts/table.tsx
  var ROW = 36, MORE = 8;
  function Table({ label: label2, rows, columns, keyOf, linkOf, textOf: textOf2, empty = "There are none.", children }) {
    let [filter, setFilter] = d2(""), [order, setOrder] = d2(), shown2 = T2(() => {
      let kept = textOf2 === void 0 || filter.trim() === "" ? rows : rows.filter((row2) => keeps(filter.trim(), textOf2(row2))), by = columns.find((column) => column.name === order?.column)?.sort ?? columns[0]?.sort;
      if (by === void 0) return kept;
      let sign = order?.down ? -1 : 1;
      return kept.map((row2) => ({ row: row2, key: by(row2) })).sort((one, other) => sign * compare(one.key, other.key)).map((entry) => entry.row);
    }, [rows, filter, order, columns, textOf2]), body = A2(null), [from, to] = useWindow(body, shown2.length), template = T2(() => columns.map((column) => `minmax(0, ${column.grow ?? 1}fr)`).join(" "), [columns]), narrow = T2(
      () => columns.filter((column) => !column.minor).map((column) => `minmax(0, ${column.grow ?? 1}fr)`).join(" "),
      [columns]
    ), sortBy = (column) => {
      column.sort !== void 0 && setOrder((before) => ({ column: column.name, down: before?.column === column.name && !before.down }));
    }, sorted = (column) => order?.column !== column.name ? void 0 : order.down ? "descending" : "ascending";
    return /* @__PURE__ */ u3("div", { class: "table-area", children: [
      (textOf2 !== void 0 || children !== void 0) && /* @__PURE__ */ u3("div", { class: "table-tools", children: [
        textOf2 !== void 0 && /* @__PURE__ */ u3(
          "input",
          {
            type: "search",
            class: "filter",
            placeholder: "Filter",
            "aria-label": `Filter ${label2}`,
            value: filter,
            onInput: (event) => setFilter(event.currentTarget.value)
          }
        ),
        /* @__PURE__ */ u3("span", { class: "amount", role: "status", children: shown2.length === rows.length ? rows.length.toLocaleString("en") : `${shown2.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` }),
        children
      ] }),
      /* @__PURE__ */ u3(
        "div",
        {
          class: "table",
          role: "table",
          "aria-label": label2,
          "aria-rowcount": shown2.length + 1,
          ref: (element) => {
            element?.style.setProperty("--columns", template), element?.style.setProperty("--narrow-columns", narrow);
          },
          children: [
            /* @__PURE__ */ u3("div", { role: "rowgroup", class: "table-head", children: /* @__PURE__ */ u3("div", { role: "row", class: "tr", children: columns.map((column) => /* @__PURE__ */ u3("span", { role: "columnheader", class: column.minor ? "minor" : void 0, "aria-sort": sorted(column), children: column.sort === void 0 ? column.name : /* @__PURE__ */ u3("button", { type: "button", class: "sort", onClick: () => sortBy(column), children: column.name }) }, column.name)) }) }),
            /* @__PURE__ */ u3("div", { role: "rowgroup", class: "table-body", ref: body, style: { height: `${shown2.length * ROW}px` }, onKeyDown: moveFocus, children: shown2.slice(from, to).map((row2, index) => /* @__PURE__ */ u3(Row, { row: row2, columns, index: from + index, href: linkOf?.(row2) }, keyOf(row2))) })
          ]
        }
      ),
      shown2.length === 0 && /* @__PURE__ */ u3("p", { class: "empty", children: rows.length === 0 ? empty : "Nothing matches the filter." })
    ] });
  }
  var Row = memo(({ row: row2, columns, index, href }) => /* @__PURE__ */ u3(
    "div",
    {
      role: "row",
      class: href === void 0 ? "tr" : "tr link",
      "aria-rowindex": index + 2,
      style: { transform: `translateY(${index * ROW}px)` },
      onClick: (event) => {
        href !== void 0 && !event.target.closest("a, button, input") && (location.hash = href);
      },
      children: columns.map((column, place2) => /* @__PURE__ */ u3("span", { role: "cell", class: column.minor ? "td minor" : "td", children: place2 === 0 && href !== void 0 ? /* @__PURE__ */ u3("a", { href, children: column.cell(row2) }) : column.cell(row2) }, column.name))
    }
  ));
  function compare(one, other) {
    return typeof one == "number" && typeof other == "number" ? one - other : String(one) < String(other) ? -1 : String(one) > String(other) ? 1 : 0;
  }
  function moveFocus(event) {
    let step2 = event.key === "ArrowDown" || event.key === "j" ? 1 : event.key === "ArrowUp" || event.key === "k" ? -1 : 0, row2 = event.target.closest("[role=row]");
    if (step2 === 0 || row2 === null || event.target.matches("input, textarea")) return;
    let next = document.querySelector(
      `[role=row][aria-rowindex="${Number(row2.getAttribute("aria-rowindex")) + step2}"] a`
    );
    next === null || !row2.parentElement?.contains(next) || (event.preventDefault(), next.focus(), next.scrollIntoView({ block: "nearest" }));
  }
  function useWindow(body, rows) {
    let [range, setRange] = d2([0, 40]);
    return _2(() => {
      let waiting = 0, measure = () => {
        waiting = 0;
        let top = body.current?.getBoundingClientRect().top ?? 0, first = Math.max(0, Math.floor(-top / ROW / MORE) * MORE - MORE), last2 = first + Math.ceil(innerHeight / ROW) + 3 * MORE;
        setRange((before) => before[0] === first && before[1] === last2 ? before : [first, last2]);
      }, later = () => {
        waiting === 0 && (waiting = requestAnimationFrame(measure));
      };
      return measure(), addEventListener("scroll", later, { passive: !0, capture: !0 }), addEventListener("resize", later), () => {
        cancelAnimationFrame(waiting), removeEventListener("scroll", later, { capture: !0 }), removeEventListener("resize", later);
      };
    }, [rows === 0]), [Math.min(range[0], Math.max(0, rows - 1)), Math.min(range[1], rows)];
  }

  // src/views/kindtable.tsx
  function columnsOf(kind, definitions, withNamespace) {
    let columns = [];
    for (let [index, { name, priority, type: type2 }] of definitions.entries()) {
      if ((priority ?? 0) > 0) continue;
      if (name === "Age") {
        columns.push({
          name,
          grow: 0.6,
          cell: (row2) => /* @__PURE__ */ u3(Age, { of: row2.object.metadata.creationTimestamp }),
          sort: (row2) => -Date.parse(row2.object.metadata.creationTimestamp)
        });
        continue;
      }
      let numeric = type2 === "integer" || type2 === "number";
      columns.push({
        name,
        grow: index === 0 ? 2 : numeric ? 0.7 : 1.2,
        minor: index > 2,
        cell: (row2) => textOf(row2.cells[index]),
        sort: (row2) => numeric ? Number(row2.cells[index] ?? 0) : textOf(row2.cells[index])
      });
    }
    return kind.namespaced && withNamespace && columns.splice(1, 0, {
      name: "Namespace",
      grow: 1.2,
      minor: !0,
      cell: (row2) => row2.object.metadata.namespace,
      sort: (row2) => row2.object.metadata.namespace ?? ""
    }), columns;
  }
  function textOf(cell) {
    return cell == null ? "" : typeof cell == "object" ? JSON.stringify(cell) : String(cell);
  }
  function KindTable({ kind, label: label2 = kind.kind }) {
    let { namespace } = useScope(), listing = useLive({ path: pathOf(kind, namespace), as: "table" }), columns = T2(() => columnsOf(kind, listing.columns, namespace === ""), [kind, listing.columns, namespace]);
    return /* @__PURE__ */ u3(ListState, { listing, children: columns.length > 0 && /* @__PURE__ */ u3(
      Table,
      {
        label: label2,
        rows: listing.items,
        columns,
        keyOf: (row2) => row2.object.metadata.uid,
        linkOf: (row2) => linkTo(kind, row2.object.metadata.namespace, row2.object.metadata.name),
        textOf: (row2) => `${row2.cells.map(textOf).join(" ")} ${row2.object.metadata.namespace ?? ""}`
      }
    ) });
  }

  // src/views/access.tsx
  var VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*"], RBAC = [
    ["roles", "Role", !0],
    ["rolebindings", "RoleBinding", !0],
    ["clusterroles", "ClusterRole", !1],
    ["clusterrolebindings", "ClusterRoleBinding", !1]
  ], TABS = [["", "Who can"], ...RBAC.map(([plural, kind]) => [plural, `${kind}s`])];
  function Access({ route }) {
    let tab = route.parts[0] ?? "", row2 = RBAC.find(([plural]) => plural === tab);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Access" }),
      /* @__PURE__ */ u3(Tabs, { label: "Access", current: tab, of: TABS.map(([id = "", text2 = ""]) => ({ id, text: text2, href: `#/access${id === "" ? "" : `/${id}`}` })) }),
      row2 === void 0 ? /* @__PURE__ */ u3(WhoCan, {}) : /* @__PURE__ */ u3(KindTable, { kind: rbac(row2) }, tab)
    ] });
  }
  var rbacKinds = /* @__PURE__ */ new Map();
  function rbac([plural, kind, namespaced]) {
    let known2 = rbacKinds.get(plural) ?? { group: "rbac.authorization.k8s.io", version: "v1", plural, kind, namespaced };
    return rbacKinds.set(plural, known2), known2;
  }
  function WhoCan() {
    let scope = useScope(), [kinds, setKinds] = d2(KINDS), [verb, setVerb] = d2("get"), [resource, setResource] = d2("secrets"), [namespace, setNamespace] = d2(scope.namespace), [name, setName] = d2(""), [answer, setAnswer] = d2(), [asked, setAsked] = d2(""), [error, setError] = d2();
    h2(() => {
      discover().then(setKinds, () => {
      });
    }, []);
    let ask2 = async () => {
      let [plural = "", subresource] = resource.split("/"), [short = "", ...group] = plural.split("."), known2 = kinds.find((kind) => kind.plural === short && (group.length === 0 || kind.group === group.join("."))), query = {
        verb,
        group: known2?.group ?? group.join("."),
        resource: subresource === void 0 ? short : `${short}/${subresource}`,
        ...namespace === "" ? {} : { namespace },
        ...name === "" ? {} : { name }
      };
      try {
        setAnswer(await own("who-can", { query })), setAsked(`${verb} ${resource}${name === "" ? "" : `/${name}`} ${namespace === "" ? "in all namespaces" : `in ${namespace}`}`), setError(void 0);
      } catch (failure) {
        setError(wordsOf(failure)), setAnswer(void 0);
      }
    };
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Who can…", wide: !0, children: [
        /* @__PURE__ */ u3(
          "form",
          {
            class: "who-can",
            onSubmit: (event) => {
              event.preventDefault(), ask2();
            },
            children: [
              /* @__PURE__ */ u3(Field, { label: "Verb", children: /* @__PURE__ */ u3("input", { list: "verbs", required: !0, value: verb, onInput: (event) => setVerb(event.currentTarget.value) }) }),
              /* @__PURE__ */ u3(Field, { label: "Resource", children: /* @__PURE__ */ u3("input", { list: "resources", required: !0, value: resource, onInput: (event) => setResource(event.currentTarget.value) }) }),
              /* @__PURE__ */ u3(Field, { label: "Namespace (empty: all)", children: /* @__PURE__ */ u3("input", { value: namespace, onInput: (event) => setNamespace(event.currentTarget.value) }) }),
              /* @__PURE__ */ u3(Field, { label: "Name (empty: any)", children: /* @__PURE__ */ u3("input", { value: name, onInput: (event) => setName(event.currentTarget.value) }) }),
              /* @__PURE__ */ u3("button", { type: "submit", class: "primary", children: "Ask" }),
              /* @__PURE__ */ u3("datalist", { id: "verbs", children: VERBS.map((each) => /* @__PURE__ */ u3("option", { value: each }, each)) }),
              /* @__PURE__ */ u3("datalist", { id: "resources", children: [...kinds.map((kind) => kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`), "pods/exec", "pods/log"].map((each) => /* @__PURE__ */ u3("option", { value: each }, each)) })
            ]
          }
        ),
        error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error })
      ] }),
      answer !== void 0 && /* @__PURE__ */ u3(Panel, { title: `Who can ${asked}`, wide: !0, children: [
        !answer.complete && /* @__PURE__ */ u3("p", { class: "note", children: `This may not be all: ${answer.unread.join("; ")}` }),
        answer.subjects.length === 0 && /* @__PURE__ */ u3(Empty, { children: "Nobody." }),
        /* @__PURE__ */ u3("ul", { class: "subjects", children: answer.subjects.map((subject) => /* @__PURE__ */ u3("li", { children: [
          /* @__PURE__ */ u3("span", { class: "kind", children: subject.kind }),
          /* @__PURE__ */ u3("b", { children: subject.namespace === null ? subject.name : `${subject.namespace}/${subject.name}` }),
          /* @__PURE__ */ u3("small", { children: subject.through.length === 0 ? "may do anything" : subject.through.map(({ binding, role, names: names2 }) => `${role.kind} ${role.name} by ${binding.kind} ${binding.name}${names2.length > 0 ? `, only ${names2.join(", ")}` : ""}`).join("; ") })
        ] }, `${subject.kind}/${subject.namespace}/${subject.name}`)) })
      ] })
    ] });
  }

  // src/logic/quantity.ts
  var DECIMAL = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }, BINARY = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
  function quantity(text2) {
    if (typeof text2 == "number") return text2;
    let match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(text2?.trim() ?? "");
    if (match === null) return;
    let [, number = "", exponent = "", suffix = ""] = match, decimal = DECIMAL[suffix];
    return decimal !== void 0 ? +`${number}e${decimal}` : Number(number + exponent) * 2 ** (BINARY[suffix] ?? 0);
  }
  function cpu(cores) {
    return cores < 5e-4 ? "0" : cores < 1 ? `${Math.round(cores * 1e3)}m` : cores.toFixed(2);
  }
  function bytes(count2) {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], value = count2, unit = 0;
    for (; value >= 1024 && unit < units.length - 1; )
      value /= 1024, unit += 1;
    return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
  }
  function usage(metrics) {
    let parts2 = metrics.containers ?? [metrics], sum = (field) => parts2.reduce((total, part) => total + (quantity(part.usage?.[field]) ?? 0), 0);
    return { cpu: sum("cpu"), memory: sum("memory") };
  }

  // src/cluster/metrics.ts
  var EVERY = 15e3, KEEP = 120, series = /* @__PURE__ */ new Map();
  async function ask(path) {
    let now = Date.now(), known2 = series.get(path) ?? { samples: /* @__PURE__ */ new Map(), absent: !1, asked: 0 };
    if (series.set(path, known2), !(now - known2.asked < EVERY - 500)) {
      known2.asked = now;
      try {
        let list = await kube(path);
        for (let item of list.items ?? []) {
          let name = item.metadata.namespace ? `${item.metadata.namespace}/${item.metadata.name}` : item.metadata.name, at = item.timestamp ? Date.parse(item.timestamp) : now, before = known2.samples.get(name) ?? [];
          before.at(-1)?.at !== at && known2.samples.set(name, [...before, { at, ...usage(item) }].slice(-KEEP));
        }
        known2.error = void 0, known2.absent = !1;
      } catch (error) {
        known2.absent = error instanceof ApiError && (error.code === 404 || error.code === 503), known2.error = wordsOf(error);
      }
    }
  }
  function useMetrics(of, namespace = "") {
    let [version, redraw] = y2((count2) => count2 + 1, 0), path = `/apis/metrics.k8s.io/v1beta1${namespace === "" ? "" : `/namespaces/${namespace}`}/${of}`;
    return h2(() => {
      let here = !0, round = () => {
        document.hidden || ask(path).then(() => {
          here && redraw(0);
        });
      };
      round();
      let timer = setInterval(round, EVERY);
      return () => {
        here = !1, clearInterval(timer);
      };
    }, [path]), T2(() => {
      let known2 = series.get(path);
      return {
        of: (name) => known2?.samples.get(name) ?? [],
        latest: (name) => known2?.samples.get(name)?.at(-1),
        error: known2?.error,
        absent: known2?.absent ?? !1
      };
    }, [path, version]);
  }

  // src/logic/labels.ts
  function nodeState(node) {
    let conditions = node.status?.conditions ?? [], ready = conditions.find((condition) => condition.type === "Ready"), pressure = conditions.filter((condition) => condition.type !== "Ready" && condition.status === "True").map((condition) => condition.type), words = [ready?.status === "True" ? "Ready" : ready?.status === "Unknown" ? "Unknown" : "NotReady"];
    return node.spec.unschedulable && words.push("SchedulingDisabled"), { ready: ready?.status === "True", words, pressure };
  }
  function roles(node) {
    let prefix = "node-role.kubernetes.io/";
    return Object.keys(node.metadata.labels ?? {}).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)).sort().join(", ") || "worker";
  }
  function pairs(labels) {
    return Object.entries(labels ?? {}).map(([key, value]) => value === "" ? key : `${key}=${value}`);
  }
  function count(number, one, many = `${one}s`) {
    return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  }

  // src/logic/podstate.ts
  var PATIENT = /* @__PURE__ */ new Set(["ContainerCreating", "PodInitializing", "Pending", "SchedulingGated"]), known = /* @__PURE__ */ new WeakMap();
  function podState(pod) {
    let before = known.get(pod);
    if (before !== void 0) return before;
    let state = computed(pod);
    return known.set(pod, state), state;
  }
  function countLooks(pods) {
    let counts = /* @__PURE__ */ new Map();
    for (let pod of pods) {
      let { look } = podState(pod);
      counts.set(look, (counts.get(look) ?? 0) + 1);
    }
    return counts;
  }
  function computed(pod) {
    let statuses = pod.status?.containerStatuses ?? [], inits = pod.status?.initContainerStatuses ?? [], sidecars = new Set(
      (pod.spec.initContainers ?? []).filter((init) => init.restartPolicy === "Always").map((init) => init.name)
    ), ready = [...statuses, ...inits.filter((init) => sidecars.has(init.name))].filter((status) => status.ready && status.state?.running !== void 0).length, restarts = [...statuses, ...inits].reduce((sum, status) => sum + status.restartCount, 0), word = wordOf(pod, statuses, inits, sidecars), containers = pod.spec.containers.length + sidecars.size;
    return { word, look: lookOf(pod, word), ready, containers, restarts };
  }
  function wordOf(pod, statuses, inits, sidecars) {
    if (pod.metadata.deletionTimestamp !== void 0)
      return pod.status?.reason === "NodeLost" ? "Unknown" : "Terminating";
    let overall = pod.status?.reason || pod.status?.phase || "Unknown", blocked = initWord(pod, inits, sidecars);
    if (blocked !== void 0) return blocked;
    if (pod.status?.conditions?.some(
      (condition) => condition.type === "PodScheduled" && condition.reason === "SchedulingGated"
    )) return "SchedulingGated";
    let word = overall, someRun = !1;
    for (let status of [...statuses].reverse()) {
      let { waiting, terminated, running } = status.state ?? {};
      waiting?.reason ? word = waiting.reason : terminated ? word = endWord(terminated) : running && status.ready && (someRun = !0);
    }
    return word === "Completed" && someRun ? isReady(pod) ? "Running" : "NotReady" : word;
  }
  function initWord(pod, inits, sidecars) {
    for (let [index, status] of inits.entries()) {
      let { waiting, terminated } = status.state ?? {};
      if (terminated?.exitCode !== 0 && !(sidecars.has(status.name) && status.started))
        return terminated ? `Init:${endWord(terminated)}` : waiting?.reason && waiting.reason !== "PodInitializing" ? `Init:${waiting.reason}` : `Init:${index}/${pod.spec.initContainers?.length ?? inits.length}`;
    }
  }
  function endWord(end) {
    return end.reason ? end.reason : end.signal ? `Signal:${end.signal}` : `ExitCode:${end.exitCode}`;
  }
  function isReady(pod) {
    return pod.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? !1;
  }
  function lookOf(pod, word) {
    return word === "Unknown" ? "unknown" : pod.metadata.deletionTimestamp !== void 0 ? "ending" : pod.status?.phase === "Succeeded" ? "done" : pod.status?.phase === "Failed" ? "failing" : word === "Running" || word === "NotReady" ? isReady(pod) ? "ready" : "starting" : word === "Completed" ? "done" : PATIENT.has(word) || /^Init:\d/.test(word) ? "starting" : "failing";
  }

  // src/parts/chart.tsx
  var WIDTH = 320, HEIGHT = 72;
  function Chart({ title, samples, value, format, limit }) {
    let last2 = samples.at(-1), values = samples.map(value), top = Math.max(limit ?? 0, ...values, Number.MIN_VALUE) * (limit === void 0 ? 1.2 : 1), from = samples[0]?.at ?? 0, length = Math.max(1, (last2?.at ?? 0) - from), points = samples.map((sample) => `${((sample.at - from) / length * WIDTH).toFixed(1)},${(HEIGHT - value(sample) / top * (HEIGHT - 4) - 2).toFixed(1)}`), now = last2 === void 0 ? "no measurement yet" : format(value(last2)), of = limit === void 0 ? "" : ` of ${format(limit)}`;
    return /* @__PURE__ */ u3("figure", { class: "chart", children: [
      /* @__PURE__ */ u3("figcaption", { children: [
        /* @__PURE__ */ u3("span", { children: title }),
        /* @__PURE__ */ u3("strong", { children: [
          now,
          last2 !== void 0 && /* @__PURE__ */ u3("small", { children: of })
        ] })
      ] }),
      /* @__PURE__ */ u3("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${now}${of}`, children: [
        points.length > 1 && /* @__PURE__ */ u3(S, { children: [
          /* @__PURE__ */ u3("polygon", { points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`, class: "area" }),
          /* @__PURE__ */ u3("polyline", { points: points.join(" "), class: "line" })
        ] }),
        points.length === 1 && /* @__PURE__ */ u3("line", { x1: "0", x2: WIDTH, y1: points[0]?.split(",")[1], y2: points[0]?.split(",")[1], class: "line" })
      ] }),
      /* @__PURE__ */ u3("div", { class: "axis", children: [
        /* @__PURE__ */ u3("span", { children: samples.length > 1 ? clock(from) : "" }),
        /* @__PURE__ */ u3("span", { children: last2 === void 0 ? "" : clock(last2.at) })
      ] })
    ] });
  }
  function Meter({ label: label2, value, limit, format }) {
    let share = value === void 0 || limit === 0 ? 0 : Math.min(1, value / limit), words = value === void 0 ? "not measured" : `${format(value)} / ${format(limit)}`;
    return /* @__PURE__ */ u3("div", { class: "meter", children: [
      /* @__PURE__ */ u3("span", { class: "meter-label", children: [
        label2,
        " ",
        /* @__PURE__ */ u3("b", { children: words })
      ] }),
      /* @__PURE__ */ u3("span", { class: share > 0.9 ? "track full" : "track", "aria-hidden": "true", children: /* @__PURE__ */ u3("i", { ref: (element) => element?.style.setProperty("width", `${(share * 100).toFixed(1)}%`) }) })
    ] });
  }

  // src/parts/diagnosis.tsx
  function nameOf({ kind, name }) {
    return `${kind.toLowerCase()}/${name}`;
  }
  function SubjectLink({ of }) {
    let name = nameOf(of), href = linkToReference(of);
    return href === void 0 ? /* @__PURE__ */ u3("b", { children: name }) : /* @__PURE__ */ u3("a", { href, children: name });
  }
  function sourceOf({ source }) {
    return source.type === "comparison" ? "compared" : `${source.type} ${source.at}`;
  }
  function DiagnosisCard({ of, open: openAtFirst = !1 }) {
    let [open2, setOpen] = d2(openAtFirst), place2 = of.subject.namespace === void 0 ? "" : ` in ${of.subject.namespace}`;
    return /* @__PURE__ */ u3("details", { class: `diagnosis ${of.severity}`, open: open2, onToggle: (event) => setOpen(event.currentTarget.open), children: [
      /* @__PURE__ */ u3("summary", { children: [
        /* @__PURE__ */ u3("span", { class: "severity", children: of.severity }),
        /* @__PURE__ */ u3("span", { class: "what", children: [
          /* @__PURE__ */ u3("b", { children: nameOf(of.subject) }),
          /* @__PURE__ */ u3("small", { children: place2 }),
          " ",
          of.summary
        ] }),
        of.since !== void 0 && /* @__PURE__ */ u3(Age, { of: of.since })
      ] }),
      open2 && /* @__PURE__ */ u3(Details, { of })
    ] });
  }
  function Details({ of }) {
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3("ol", { class: "evidence", children: [
        of.evidence.length === 0 && /* @__PURE__ */ u3("li", { children: /* @__PURE__ */ u3(SubjectLink, { of: of.subject }) }),
        of.evidence.map((evidence, index) => /* @__PURE__ */ u3("li", { children: [
          /* @__PURE__ */ u3(SubjectLink, { of: evidence.object }),
          " ",
          /* @__PURE__ */ u3("span", { class: "source", children: sourceOf(evidence) }),
          evidence.source.type === "log" ? /* @__PURE__ */ u3("pre", { tabIndex: 0, children: evidence.says }) : /* @__PURE__ */ u3("p", { children: evidence.says })
        ] }, index))
      ] }),
      of.remedies.length > 0 && /* @__PURE__ */ u3("div", { class: "remedies", children: [
        /* @__PURE__ */ u3("h3", { children: "What would help" }),
        /* @__PURE__ */ u3("ul", { children: of.remedies.map((remedy) => /* @__PURE__ */ u3("li", { children: [
          remedy.advice,
          remedy.command !== void 0 && /* @__PURE__ */ u3("code", { children: remedy.command })
        ] }, remedy.advice)) })
      ] }),
      of.affected.length > 0 && /* @__PURE__ */ u3("p", { class: "affected", children: [
        "Also affected:",
        " ",
        of.affected.slice(0, 12).map((subject) => /* @__PURE__ */ u3("span", { children: [
          /* @__PURE__ */ u3(SubjectLink, { of: subject }),
          " "
        ] }, `${subject.kind}/${subject.namespace}/${subject.name}`)),
        of.affected.length > 12 && `and ${of.affected.length - 12} more`
      ] })
    ] });
  }

  // src/logic/squares.ts
  function different(next, before) {
    return before !== void 0 && before.looks.length === next.looks.length && ["width", "height", "perRow", "scheme"].every((name) => before[name] === next[name]) ? [...next.looks.keys()].filter((index) => next.looks[index] !== before.looks[index]) : "all";
  }

  // src/parts/squares.ts
  var SIZE = 11, GAP = 3, STEP = SIZE + GAP, LOOKS = ["ready", "starting", "failing", "ending", "done", "unknown"], mixed, forget = () => mixed = void 0;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
  addEventListener("scheme", forget);
  function palette(canvas) {
    return mixed ??= mix(canvas), mixed;
  }
  function mix(canvas) {
    let style = getComputedStyle(canvas), probe = document.createElement("i");
    canvas.parentElement?.append(probe);
    let colours = Object.fromEntries(
      LOOKS.map((look) => (probe.style.color = style.getPropertyValue(`--look-${look}`), [look, getComputedStyle(probe).color]))
    );
    return probe.remove(), colours;
  }
  function paint(canvas, next, before) {
    let context = canvas.getContext("2d");
    if (context === null) return;
    let changed2 = different(next, before);
    if (changed2 === "all") {
      let scale2 = devicePixelRatio || 1;
      canvas.width = next.width * scale2, canvas.height = next.height * scale2, canvas.style.height = `${next.height}px`, context.scale(scale2, scale2);
    }
    let colours = palette(canvas);
    for (let index of changed2 === "all" ? next.looks.keys() : changed2) {
      let look = next.looks[index], [x3, y3] = [index % next.perRow * STEP, Math.floor(index / next.perRow) * STEP];
      changed2 !== "all" && context.clearRect(x3 - 1, y3 - 1, SIZE + 2, SIZE + 2), look !== void 0 && square(context, look, colours[look], x3, y3);
    }
    return next;
  }
  function square(context, look, colour, x3, y3) {
    if (context.beginPath(), look === "starting" || look === "ending") {
      context.strokeStyle = colour, context.lineWidth = 1.5, context.roundRect(x3 + 1, y3 + 1, SIZE - 2, SIZE - 2, 2), context.stroke();
      return;
    }
    context.fillStyle = colour, look === "failing" ? (context.moveTo(x3 + SIZE / 2, y3), context.lineTo(x3 + SIZE, y3 + SIZE / 2), context.lineTo(x3 + SIZE / 2, y3 + SIZE), context.lineTo(x3, y3 + SIZE / 2), context.closePath()) : context.roundRect(x3, y3, SIZE, SIZE, 2.5), context.fill();
  }

  // src/parts/podsquares.tsx
  var WORDS = {
    ready: "ready",
    starting: "starting",
    failing: "failing",
    ending: "ending",
    done: "done",
    unknown: "unknown"
  };
  function summary(pods) {
    let counts = countLooks(pods), parts2 = LOOKS.filter((look) => counts.has(look)).map((look) => `${counts.get(look)} ${WORDS[look]}`);
    return pods.length === 0 ? "no pods" : `${count(pods.length, "pod")}: ${parts2.join(", ")}`;
  }
  function PodSquares({ pods, label: label2, href }) {
    let canvas = A2(null), [width, setWidth] = d2(0), [scheme2, setScheme2] = d2(0), words = T2(() => summary(pods), [pods]), [hover, setHover] = d2(), sorted = T2(
      () => pods.map((pod) => ({ pod, look: podState(pod).look, name: `${pod.metadata.namespace}/${pod.metadata.name}` })).sort((one, other) => one.name < other.name ? -1 : 1),
      [pods]
    ), perRow = Math.max(1, Math.floor((width + GAP) / STEP)), height = Math.max(1, Math.ceil(sorted.length / perRow)) * STEP - GAP;
    h2(() => {
      let element = canvas.current?.closest(".squares");
      if (element == null) return;
      let sizes = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
      sizes.observe(element);
      let repaint = () => setScheme2((before) => before + 1), preference = matchMedia("(prefers-color-scheme: dark)");
      return preference.addEventListener("change", repaint), addEventListener("scheme", repaint), () => {
        sizes.disconnect(), preference.removeEventListener("change", repaint), removeEventListener("scheme", repaint);
      };
    }, []);
    let painted = A2();
    h2(() => {
      canvas.current === null || width === 0 || (painted.current = paint(canvas.current, { looks: sorted.map(({ look }) => look), width, height, perRow, scheme: scheme2 }, painted.current));
    }, [sorted, width, height, perRow, scheme2]);
    let podAt = (event) => {
      let [column, row2] = [Math.floor(event.offsetX / STEP), Math.floor(event.offsetY / STEP)];
      return column < perRow ? sorted[row2 * perRow + column]?.pod : void 0;
    }, picture = /* @__PURE__ */ u3(
      "canvas",
      {
        ref: canvas,
        role: "img",
        "aria-label": `${label2}: ${words}`,
        onMouseMove: (event) => {
          let pod = podAt(event);
          setHover(pod === void 0 ? void 0 : { pod, x: event.offsetX, y: event.offsetY });
        },
        onMouseLeave: () => setHover(void 0),
        onClick: (event) => {
          let pod = podAt(event);
          pod !== void 0 && (event.preventDefault(), event.stopPropagation(), location.hash = linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name));
        }
      }
    );
    return /* @__PURE__ */ u3("div", { class: "squares", children: [
      href === void 0 ? picture : /* @__PURE__ */ u3("a", { href, children: picture }),
      hover !== void 0 && /* @__PURE__ */ u3(
        "div",
        {
          class: "tip",
          "aria-hidden": "true",
          ref: (element) => {
            element?.style.setProperty("left", `${Math.min(hover.x + 12, Math.max(0, width - 220))}px`), element?.style.setProperty("top", `${hover.y + 18}px`);
          },
          children: [
            /* @__PURE__ */ u3("b", { children: hover.pod.metadata.name }),
            /* @__PURE__ */ u3("br", {}),
            hover.pod.metadata.namespace,
            " · ",
            podState(hover.pod).word
          ]
        }
      )
    ] });
  }
  function Legend() {
    return /* @__PURE__ */ u3("ul", { class: "legend", "aria-label": "Legend", children: LOOKS.map((look) => /* @__PURE__ */ u3("li", { children: [
      /* @__PURE__ */ u3("i", { class: `square ${look}`, "aria-hidden": "true" }),
      WORDS[look]
    ] }, look)) });
  }

  // src/views/cluster.tsx
  var NO_PODS = [];
  function Cluster() {
    let { namespace, session: session2 } = useScope(), nodes = useLive({ path: "/api/v1/nodes" }), pods = useLive({ path: namespace === "" ? "/api/v1/pods" : `/api/v1/namespaces/${namespace}/pods` }), metrics = useMetrics("nodes"), byNode = useByNode(pods.items), unplaced = byNode.get("") ?? NO_PODS, sorted = T2(() => [...nodes.items].sort(controlPlaneFirst), [nodes.items]);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Cluster", children: /* @__PURE__ */ u3("a", { class: "button", href: "#/create", children: "Create…" }) }),
      /* @__PURE__ */ u3(Figures, { nodes: nodes.items, pods: pods.items, version: session2.cluster.version }),
      /* @__PURE__ */ u3(Problems, { namespace }),
      /* @__PURE__ */ u3(Panel, { title: "Nodes", aside: /* @__PURE__ */ u3(Legend, {}), children: [
        /* @__PURE__ */ u3(ListState, { listing: nodes, children: [
          pods.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: pods.error }),
          /* @__PURE__ */ u3("div", { class: "nodes", children: [
            sorted.map((node) => /* @__PURE__ */ u3(NodeBox, { node, pods: byNode.get(node.metadata.name) ?? NO_PODS, metrics }, node.metadata.uid)),
            unplaced.length > 0 && /* @__PURE__ */ u3("article", { class: "node", children: [
              /* @__PURE__ */ u3("header", { children: /* @__PURE__ */ u3("h3", { children: /* @__PURE__ */ u3("a", { href: "#/pods?show=unplaced", children: "No node yet" }) }) }),
              /* @__PURE__ */ u3(PodSquares, { pods: unplaced, label: "Pods without a node" })
            ] })
          ] })
        ] }),
        metrics.error !== void 0 && /* @__PURE__ */ u3("p", { class: "note", children: [
          metrics.absent ? "CPU and memory are not measured: the cluster has no metrics server. " : "",
          metrics.error
        ] })
      ] })
    ] });
  }
  function useByNode(pods) {
    let kept = T2(() => ({ map: /* @__PURE__ */ new Map() }), []);
    return T2(() => {
      let fresh = /* @__PURE__ */ new Map();
      for (let pod of pods) {
        let node = pod.spec.nodeName ?? "", there = fresh.get(node);
        there === void 0 ? fresh.set(node, [pod]) : there.push(pod);
      }
      for (let [node, list] of fresh) {
        let before = kept.map.get(node);
        before?.length === list.length && before.every((pod, index) => pod === list[index]) && fresh.set(node, before);
      }
      return kept.map = fresh, fresh;
    }, [pods]);
  }
  function controlPlaneFirst(one, other) {
    let rank = (node) => roles(node).includes("control-plane") ? 0 : 1;
    return rank(one) - rank(other) || (one.metadata.name < other.metadata.name ? -1 : 1);
  }
  function Figures({ nodes, pods, version }) {
    let ready = nodes.filter((node) => nodeState(node).ready).length, looks = T2(() => countLooks(pods), [pods]), of = (look) => looks.get(look) ?? 0, figures = [
      ["Nodes ready", `${ready}/${nodes.length}`, "#/nodes"],
      ["Pods", pods.length.toLocaleString("en"), "#/pods"],
      ["Ready", of("ready").toLocaleString("en"), "#/pods"],
      ["Starting", of("starting").toLocaleString("en"), "#/pods"],
      ["Failing", of("failing").toLocaleString("en"), "#/pods"],
      ["Kubernetes", version?.replace(/\+.*/, "") ?? "unknown", "#/resources"]
    ];
    return /* @__PURE__ */ u3("ul", { class: "figures", "aria-label": "Figures", children: figures.map(([name, value, href]) => /* @__PURE__ */ u3("li", { children: /* @__PURE__ */ u3("a", { href, children: [
      /* @__PURE__ */ u3("strong", { children: value }),
      /* @__PURE__ */ u3("span", { children: name })
    ] }) }, name)) });
  }
  var AT_A_TIME = 50;
  function Problems({ namespace }) {
    let problems = useLive({ problems: namespace === "" ? {} : { namespace } }), [most, setMost] = d2(AT_A_TIME), all = problems.items.length + problems.more;
    return /* @__PURE__ */ u3(Panel, { title: "What is wrong", aside: all > 0 ? /* @__PURE__ */ u3("span", { class: "amount", children: all.toLocaleString("en") }) : void 0, children: /* @__PURE__ */ u3(ListState, { listing: problems, children: [
      problems.items.length === 0 ? /* @__PURE__ */ u3(Empty, { children: "Nothing that can be seen." }) : problems.items.slice(0, most).map((problem) => /* @__PURE__ */ u3(DiagnosisCard, { of: problem }, `${problem.cause}/${problem.subject.kind}/${problem.subject.namespace}/${problem.subject.name}`)),
      problems.items.length > most && /* @__PURE__ */ u3("button", { type: "button", onClick: () => setMost(most + AT_A_TIME), children: "Show more" }),
      problems.more > 0 && problems.items.length <= most && /* @__PURE__ */ u3("p", { class: "note", children: "These are the worst; choose a namespace to see all of it." })
    ] }) });
  }
  var NodeBox = memo(({ node, pods, metrics }) => {
    let { name } = node.metadata, state = nodeState(node), used = metrics.latest(name), allocatable = node.status?.allocatable ?? {};
    return /* @__PURE__ */ u3("article", { class: state.ready ? "node" : "node trouble", children: [
      /* @__PURE__ */ u3("header", { children: [
        /* @__PURE__ */ u3("h3", { children: /* @__PURE__ */ u3("a", { href: linkTo(kindOf("nodes"), void 0, name), children: name }) }),
        /* @__PURE__ */ u3("span", { class: "role", children: roles(node) }),
        /* @__PURE__ */ u3(Badge, { tone: state.ready ? state.words.length > 1 ? "busy" : "good" : "bad", children: state.words.join(", ") }),
        state.pressure.map((pressure) => /* @__PURE__ */ u3(Badge, { tone: "bad", children: pressure }, pressure))
      ] }),
      used !== void 0 && /* @__PURE__ */ u3("div", { class: "meters", children: [
        /* @__PURE__ */ u3(Meter, { label: "CPU", value: used.cpu, limit: quantity(allocatable.cpu) ?? 0, format: cpu }),
        /* @__PURE__ */ u3(Meter, { label: "Memory", value: used.memory, limit: quantity(allocatable.memory) ?? 0, format: bytes })
      ] }),
      /* @__PURE__ */ u3(PodSquares, { pods, label: `Pods on ${name}`, href: linkTo(kindOf("nodes"), void 0, name) }),
      /* @__PURE__ */ u3("p", { class: "node-foot", children: [
        count(pods.length, "pod"),
        allocatable.pods === void 0 ? "" : ` of ${allocatable.pods}`
      ] })
    ] });
  });

  // src/actions/requests.ts
  var MANAGER = "hardway-dashboard";
  function patch(path, contentType, body) {
    return { path, call: { method: "PATCH", contentType, body, query: { fieldManager: MANAGER } } };
  }
  function place(kind, object, subresource = "") {
    return pathOf(kind, object.metadata.namespace, object.metadata.name, subresource);
  }
  function scale(kind, object, replicas2) {
    return patch(place(kind, object, "scale"), Media.mergePatch, { spec: { replicas: replicas2 } });
  }
  function restart(kind, object, at) {
    let annotations = { "kubectl.kubernetes.io/restartedAt": at };
    return patch(place(kind, object), Media.strategicPatch, { spec: { template: { metadata: { annotations } } } });
  }
  function pause(kind, object, paused) {
    return patch(place(kind, object), Media.mergePatch, { spec: { paused } });
  }
  function rollBackDeployment(deployment, set2) {
    let { "pod-template-hash": _3, ...labels } = set2.spec.template.metadata?.labels ?? {}, template = { ...set2.spec.template, metadata: { ...set2.spec.template.metadata, labels } };
    return patch(place(kindOf("deployments"), deployment), Media.jsonPatch, [
      { op: "test", path: "/metadata/uid", value: deployment.metadata.uid },
      { op: "replace", path: "/spec/template", value: template }
    ]);
  }
  function rollBackToRevision(kind, object, revision) {
    return patch(place(kind, object), Media.strategicPatch, revision.data ?? {});
  }
  function suspend(kind, object, suspended) {
    return patch(place(kind, object), Media.mergePatch, { spec: { suspend: suspended } });
  }
  function runNow(cronJob, at) {
    let { name, namespace, uid: uid2 } = cronJob.metadata;
    return {
      path: pathOf(kindOf("jobs"), namespace),
      call: {
        method: "POST",
        query: { fieldManager: MANAGER },
        body: {
          apiVersion: "batch/v1",
          kind: "Job",
          metadata: {
            name: `${name.slice(0, 40)}-manual-${Math.floor(at / 1e3).toString(36)}`,
            annotations: { "cronjob.kubernetes.io/instantiate": "manual" },
            ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name, uid: uid2, controller: !0 }]
          },
          spec: cronJob.spec.jobTemplate.spec
        }
      }
    };
  }
  function cordon(node, unschedulable) {
    return patch(place(kindOf("nodes"), node), Media.mergePatch, { spec: { unschedulable: unschedulable || null } });
  }
  function evict(pod) {
    let { name, namespace, uid: uid2 } = pod.metadata;
    return {
      path: place(kindOf("pods"), pod, "eviction"),
      call: {
        method: "POST",
        body: {
          apiVersion: "policy/v1",
          kind: "Eviction",
          metadata: { name, namespace },
          deleteOptions: { preconditions: { uid: uid2 } }
        }
      }
    };
  }
  function remove(kind, object) {
    return {
      path: place(kind, object),
      call: {
        method: "DELETE",
        body: {
          apiVersion: "v1",
          kind: "DeleteOptions",
          propagationPolicy: "Background",
          preconditions: { uid: object.metadata.uid }
        }
      }
    };
  }
  function replace(kind, object, namespace, name, dryRun) {
    return {
      path: pathOf(kind, namespace, name),
      call: {
        method: "PUT",
        body: object,
        query: { fieldManager: MANAGER, fieldValidation: "Strict", ...dryRun ? { dryRun: "All" } : {} }
      }
    };
  }
  function create(kind, object, namespace, dryRun) {
    return {
      path: pathOf(kind, namespace),
      call: {
        method: "POST",
        body: object,
        query: { fieldManager: MANAGER, fieldValidation: "Strict", ...dryRun ? { dryRun: "All" } : {} }
      }
    };
  }
  function apply2(kind, object, namespace, dryRun, force) {
    return {
      path: pathOf(kind, namespace, object.metadata.name),
      call: {
        method: "PATCH",
        contentType: Media.apply,
        body: object,
        query: {
          fieldManager: MANAGER,
          fieldValidation: "Strict",
          ...dryRun ? { dryRun: "All" } : {},
          ...force ? { force: "true" } : {}
        }
      }
    };
  }
  function kindOfObject(object, kinds) {
    return kinds.find((kind) => kind.kind === object.kind && groupVersion(kind) === object.apiVersion);
  }

  // src/logic/examples.ts
  var DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: nginx
        ports:
        - containerPort: 80
`, EXAMPLES = {
    Deployment: DEPLOYMENT,
    Service: `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - port: 80
`,
    ConfigMap: `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  key: value
`,
    Secret: `apiVersion: v1
kind: Secret
metadata:
  name: password
stringData:
  password: ""
`,
    Job: `apiVersion: batch/v1
kind: Job
metadata:
  name: once
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: once
        image: busybox
        command: [echo, done]
`,
    CronJob: `apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: nightly
            image: busybox
            command: [echo, done]
`,
    PersistentVolumeClaim: `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
`,
    Namespace: `apiVersion: v1
kind: Namespace
metadata:
  name: team
`
  };
  function example(kind) {
    return EXAMPLES[kind ?? ""] ?? DEPLOYMENT;
  }

  // node_modules/js-yaml/dist/js-yaml.mjs
  /*! js-yaml 4.1.1 https://github.com/nodeca/js-yaml @license MIT */
  function isNothing(subject) {
    return typeof subject > "u" || subject === null;
  }
  function isObject(subject) {
    return typeof subject == "object" && subject !== null;
  }
  function toArray(sequence) {
    return Array.isArray(sequence) ? sequence : isNothing(sequence) ? [] : [sequence];
  }
  function extend(target2, source) {
    var index, length, key, sourceKeys;
    if (source)
      for (sourceKeys = Object.keys(source), index = 0, length = sourceKeys.length; index < length; index += 1)
        key = sourceKeys[index], target2[key] = source[key];
    return target2;
  }
  function repeat(string, count2) {
    var result = "", cycle;
    for (cycle = 0; cycle < count2; cycle += 1)
      result += string;
    return result;
  }
  function isNegativeZero(number) {
    return number === 0 && Number.NEGATIVE_INFINITY === 1 / number;
  }
  var isNothing_1 = isNothing, isObject_1 = isObject, toArray_1 = toArray, repeat_1 = repeat, isNegativeZero_1 = isNegativeZero, extend_1 = extend, common = {
    isNothing: isNothing_1,
    isObject: isObject_1,
    toArray: toArray_1,
    repeat: repeat_1,
    isNegativeZero: isNegativeZero_1,
    extend: extend_1
  };
  function formatError(exception2, compact) {
    var where = "", message = exception2.reason || "(unknown reason)";
    return exception2.mark ? (exception2.mark.name && (where += 'in "' + exception2.mark.name + '" '), where += "(" + (exception2.mark.line + 1) + ":" + (exception2.mark.column + 1) + ")", !compact && exception2.mark.snippet && (where += `

` + exception2.mark.snippet), message + " " + where) : message;
  }
  function YAMLException$1(reason, mark) {
    Error.call(this), this.name = "YAMLException", this.reason = reason, this.mark = mark, this.message = formatError(this, !1), Error.captureStackTrace ? Error.captureStackTrace(this, this.constructor) : this.stack = new Error().stack || "";
  }
  YAMLException$1.prototype = Object.create(Error.prototype);
  YAMLException$1.prototype.constructor = YAMLException$1;
  YAMLException$1.prototype.toString = function(compact) {
    return this.name + ": " + formatError(this, compact);
  };
  var exception = YAMLException$1;
  function getLine(buffer, lineStart, lineEnd, position, maxLineLength) {
    var head = "", tail = "", maxHalfLength = Math.floor(maxLineLength / 2) - 1;
    return position - lineStart > maxHalfLength && (head = " ... ", lineStart = position - maxHalfLength + head.length), lineEnd - position > maxHalfLength && (tail = " ...", lineEnd = position + maxHalfLength - tail.length), {
      str: head + buffer.slice(lineStart, lineEnd).replace(/\t/g, "→") + tail,
      pos: position - lineStart + head.length
      // relative position
    };
  }
  function padStart(string, max) {
    return common.repeat(" ", max - string.length) + string;
  }
  function makeSnippet(mark, options) {
    if (options = Object.create(options || null), !mark.buffer) return null;
    options.maxLength || (options.maxLength = 79), typeof options.indent != "number" && (options.indent = 1), typeof options.linesBefore != "number" && (options.linesBefore = 3), typeof options.linesAfter != "number" && (options.linesAfter = 2);
    for (var re = /\r?\n|\r|\0/g, lineStarts = [0], lineEnds = [], match, foundLineNo = -1; match = re.exec(mark.buffer); )
      lineEnds.push(match.index), lineStarts.push(match.index + match[0].length), mark.position <= match.index && foundLineNo < 0 && (foundLineNo = lineStarts.length - 2);
    foundLineNo < 0 && (foundLineNo = lineStarts.length - 1);
    var result = "", i3, line, lineNoLength = Math.min(mark.line + options.linesAfter, lineEnds.length).toString().length, maxLineLength = options.maxLength - (options.indent + lineNoLength + 3);
    for (i3 = 1; i3 <= options.linesBefore && !(foundLineNo - i3 < 0); i3++)
      line = getLine(
        mark.buffer,
        lineStarts[foundLineNo - i3],
        lineEnds[foundLineNo - i3],
        mark.position - (lineStarts[foundLineNo] - lineStarts[foundLineNo - i3]),
        maxLineLength
      ), result = common.repeat(" ", options.indent) + padStart((mark.line - i3 + 1).toString(), lineNoLength) + " | " + line.str + `
` + result;
    for (line = getLine(mark.buffer, lineStarts[foundLineNo], lineEnds[foundLineNo], mark.position, maxLineLength), result += common.repeat(" ", options.indent) + padStart((mark.line + 1).toString(), lineNoLength) + " | " + line.str + `
`, result += common.repeat("-", options.indent + lineNoLength + 3 + line.pos) + `^
`, i3 = 1; i3 <= options.linesAfter && !(foundLineNo + i3 >= lineEnds.length); i3++)
      line = getLine(
        mark.buffer,
        lineStarts[foundLineNo + i3],
        lineEnds[foundLineNo + i3],
        mark.position - (lineStarts[foundLineNo] - lineStarts[foundLineNo + i3]),
        maxLineLength
      ), result += common.repeat(" ", options.indent) + padStart((mark.line + i3 + 1).toString(), lineNoLength) + " | " + line.str + `
`;
    return result.replace(/\n$/, "");
  }
  var snippet = makeSnippet, TYPE_CONSTRUCTOR_OPTIONS = [
    "kind",
    "multi",
    "resolve",
    "construct",
    "instanceOf",
    "predicate",
    "represent",
    "representName",
    "defaultStyle",
    "styleAliases"
  ], YAML_NODE_KINDS = [
    "scalar",
    "sequence",
    "mapping"
  ];
  function compileStyleAliases(map2) {
    var result = {};
    return map2 !== null && Object.keys(map2).forEach(function(style) {
      map2[style].forEach(function(alias) {
        result[String(alias)] = style;
      });
    }), result;
  }
  function Type$1(tag, options) {
    if (options = options || {}, Object.keys(options).forEach(function(name) {
      if (TYPE_CONSTRUCTOR_OPTIONS.indexOf(name) === -1)
        throw new exception('Unknown option "' + name + '" is met in definition of "' + tag + '" YAML type.');
    }), this.options = options, this.tag = tag, this.kind = options.kind || null, this.resolve = options.resolve || function() {
      return !0;
    }, this.construct = options.construct || function(data) {
      return data;
    }, this.instanceOf = options.instanceOf || null, this.predicate = options.predicate || null, this.represent = options.represent || null, this.representName = options.representName || null, this.defaultStyle = options.defaultStyle || null, this.multi = options.multi || !1, this.styleAliases = compileStyleAliases(options.styleAliases || null), YAML_NODE_KINDS.indexOf(this.kind) === -1)
      throw new exception('Unknown kind "' + this.kind + '" is specified for "' + tag + '" YAML type.');
  }
  var type = Type$1;
  function compileList(schema2, name) {
    var result = [];
    return schema2[name].forEach(function(currentType) {
      var newIndex = result.length;
      result.forEach(function(previousType, previousIndex) {
        previousType.tag === currentType.tag && previousType.kind === currentType.kind && previousType.multi === currentType.multi && (newIndex = previousIndex);
      }), result[newIndex] = currentType;
    }), result;
  }
  function compileMap() {
    var result = {
      scalar: {},
      sequence: {},
      mapping: {},
      fallback: {},
      multi: {
        scalar: [],
        sequence: [],
        mapping: [],
        fallback: []
      }
    }, index, length;
    function collectType(type2) {
      type2.multi ? (result.multi[type2.kind].push(type2), result.multi.fallback.push(type2)) : result[type2.kind][type2.tag] = result.fallback[type2.tag] = type2;
    }
    for (index = 0, length = arguments.length; index < length; index += 1)
      arguments[index].forEach(collectType);
    return result;
  }
  function Schema$1(definition) {
    return this.extend(definition);
  }
  Schema$1.prototype.extend = function(definition) {
    var implicit = [], explicit = [];
    if (definition instanceof type)
      explicit.push(definition);
    else if (Array.isArray(definition))
      explicit = explicit.concat(definition);
    else if (definition && (Array.isArray(definition.implicit) || Array.isArray(definition.explicit)))
      definition.implicit && (implicit = implicit.concat(definition.implicit)), definition.explicit && (explicit = explicit.concat(definition.explicit));
    else
      throw new exception("Schema.extend argument should be a Type, [ Type ], or a schema definition ({ implicit: [...], explicit: [...] })");
    implicit.forEach(function(type$1) {
      if (!(type$1 instanceof type))
        throw new exception("Specified list of YAML types (or a single Type object) contains a non-Type object.");
      if (type$1.loadKind && type$1.loadKind !== "scalar")
        throw new exception("There is a non-scalar type in the implicit list of a schema. Implicit resolving of such types is not supported.");
      if (type$1.multi)
        throw new exception("There is a multi type in the implicit list of a schema. Multi tags can only be listed as explicit.");
    }), explicit.forEach(function(type$1) {
      if (!(type$1 instanceof type))
        throw new exception("Specified list of YAML types (or a single Type object) contains a non-Type object.");
    });
    var result = Object.create(Schema$1.prototype);
    return result.implicit = (this.implicit || []).concat(implicit), result.explicit = (this.explicit || []).concat(explicit), result.compiledImplicit = compileList(result, "implicit"), result.compiledExplicit = compileList(result, "explicit"), result.compiledTypeMap = compileMap(result.compiledImplicit, result.compiledExplicit), result;
  };
  var schema = Schema$1, str = new type("tag:yaml.org,2002:str", {
    kind: "scalar",
    construct: function(data) {
      return data !== null ? data : "";
    }
  }), seq = new type("tag:yaml.org,2002:seq", {
    kind: "sequence",
    construct: function(data) {
      return data !== null ? data : [];
    }
  }), map = new type("tag:yaml.org,2002:map", {
    kind: "mapping",
    construct: function(data) {
      return data !== null ? data : {};
    }
  }), failsafe = new schema({
    explicit: [
      str,
      seq,
      map
    ]
  });
  function resolveYamlNull(data) {
    if (data === null) return !0;
    var max = data.length;
    return max === 1 && data === "~" || max === 4 && (data === "null" || data === "Null" || data === "NULL");
  }
  function constructYamlNull() {
    return null;
  }
  function isNull(object) {
    return object === null;
  }
  var _null = new type("tag:yaml.org,2002:null", {
    kind: "scalar",
    resolve: resolveYamlNull,
    construct: constructYamlNull,
    predicate: isNull,
    represent: {
      canonical: function() {
        return "~";
      },
      lowercase: function() {
        return "null";
      },
      uppercase: function() {
        return "NULL";
      },
      camelcase: function() {
        return "Null";
      },
      empty: function() {
        return "";
      }
    },
    defaultStyle: "lowercase"
  });
  function resolveYamlBoolean(data) {
    if (data === null) return !1;
    var max = data.length;
    return max === 4 && (data === "true" || data === "True" || data === "TRUE") || max === 5 && (data === "false" || data === "False" || data === "FALSE");
  }
  function constructYamlBoolean(data) {
    return data === "true" || data === "True" || data === "TRUE";
  }
  function isBoolean(object) {
    return Object.prototype.toString.call(object) === "[object Boolean]";
  }
  var bool = new type("tag:yaml.org,2002:bool", {
    kind: "scalar",
    resolve: resolveYamlBoolean,
    construct: constructYamlBoolean,
    predicate: isBoolean,
    represent: {
      lowercase: function(object) {
        return object ? "true" : "false";
      },
      uppercase: function(object) {
        return object ? "TRUE" : "FALSE";
      },
      camelcase: function(object) {
        return object ? "True" : "False";
      }
    },
    defaultStyle: "lowercase"
  });
  function isHexCode(c3) {
    return 48 <= c3 && c3 <= 57 || 65 <= c3 && c3 <= 70 || 97 <= c3 && c3 <= 102;
  }
  function isOctCode(c3) {
    return 48 <= c3 && c3 <= 55;
  }
  function isDecCode(c3) {
    return 48 <= c3 && c3 <= 57;
  }
  function resolveYamlInteger(data) {
    if (data === null) return !1;
    var max = data.length, index = 0, hasDigits = !1, ch;
    if (!max) return !1;
    if (ch = data[index], (ch === "-" || ch === "+") && (ch = data[++index]), ch === "0") {
      if (index + 1 === max) return !0;
      if (ch = data[++index], ch === "b") {
        for (index++; index < max; index++)
          if (ch = data[index], ch !== "_") {
            if (ch !== "0" && ch !== "1") return !1;
            hasDigits = !0;
          }
        return hasDigits && ch !== "_";
      }
      if (ch === "x") {
        for (index++; index < max; index++)
          if (ch = data[index], ch !== "_") {
            if (!isHexCode(data.charCodeAt(index))) return !1;
            hasDigits = !0;
          }
        return hasDigits && ch !== "_";
      }
      if (ch === "o") {
        for (index++; index < max; index++)
          if (ch = data[index], ch !== "_") {
            if (!isOctCode(data.charCodeAt(index))) return !1;
            hasDigits = !0;
          }
        return hasDigits && ch !== "_";
      }
    }
    if (ch === "_") return !1;
    for (; index < max; index++)
      if (ch = data[index], ch !== "_") {
        if (!isDecCode(data.charCodeAt(index)))
          return !1;
        hasDigits = !0;
      }
    return !(!hasDigits || ch === "_");
  }
  function constructYamlInteger(data) {
    var value = data, sign = 1, ch;
    if (value.indexOf("_") !== -1 && (value = value.replace(/_/g, "")), ch = value[0], (ch === "-" || ch === "+") && (ch === "-" && (sign = -1), value = value.slice(1), ch = value[0]), value === "0") return 0;
    if (ch === "0") {
      if (value[1] === "b") return sign * parseInt(value.slice(2), 2);
      if (value[1] === "x") return sign * parseInt(value.slice(2), 16);
      if (value[1] === "o") return sign * parseInt(value.slice(2), 8);
    }
    return sign * parseInt(value, 10);
  }
  function isInteger(object) {
    return Object.prototype.toString.call(object) === "[object Number]" && object % 1 === 0 && !common.isNegativeZero(object);
  }
  var int = new type("tag:yaml.org,2002:int", {
    kind: "scalar",
    resolve: resolveYamlInteger,
    construct: constructYamlInteger,
    predicate: isInteger,
    represent: {
      binary: function(obj) {
        return obj >= 0 ? "0b" + obj.toString(2) : "-0b" + obj.toString(2).slice(1);
      },
      octal: function(obj) {
        return obj >= 0 ? "0o" + obj.toString(8) : "-0o" + obj.toString(8).slice(1);
      },
      decimal: function(obj) {
        return obj.toString(10);
      },
      /* eslint-disable max-len */
      hexadecimal: function(obj) {
        return obj >= 0 ? "0x" + obj.toString(16).toUpperCase() : "-0x" + obj.toString(16).toUpperCase().slice(1);
      }
    },
    defaultStyle: "decimal",
    styleAliases: {
      binary: [2, "bin"],
      octal: [8, "oct"],
      decimal: [10, "dec"],
      hexadecimal: [16, "hex"]
    }
  }), YAML_FLOAT_PATTERN = new RegExp(
    // 2.5e4, 2.5 and integers
    "^(?:[-+]?(?:[0-9][0-9_]*)(?:\\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN))$"
  );
  function resolveYamlFloat(data) {
    return !(data === null || !YAML_FLOAT_PATTERN.test(data) || // Quick hack to not allow integers end with `_`
    // Probably should update regexp & check speed
    data[data.length - 1] === "_");
  }
  function constructYamlFloat(data) {
    var value, sign;
    return value = data.replace(/_/g, "").toLowerCase(), sign = value[0] === "-" ? -1 : 1, "+-".indexOf(value[0]) >= 0 && (value = value.slice(1)), value === ".inf" ? sign === 1 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY : value === ".nan" ? NaN : sign * parseFloat(value, 10);
  }
  var SCIENTIFIC_WITHOUT_DOT = /^[-+]?[0-9]+e/;
  function representYamlFloat(object, style) {
    var res;
    if (isNaN(object))
      switch (style) {
        case "lowercase":
          return ".nan";
        case "uppercase":
          return ".NAN";
        case "camelcase":
          return ".NaN";
      }
    else if (Number.POSITIVE_INFINITY === object)
      switch (style) {
        case "lowercase":
          return ".inf";
        case "uppercase":
          return ".INF";
        case "camelcase":
          return ".Inf";
      }
    else if (Number.NEGATIVE_INFINITY === object)
      switch (style) {
        case "lowercase":
          return "-.inf";
        case "uppercase":
          return "-.INF";
        case "camelcase":
          return "-.Inf";
      }
    else if (common.isNegativeZero(object))
      return "-0.0";
    return res = object.toString(10), SCIENTIFIC_WITHOUT_DOT.test(res) ? res.replace("e", ".e") : res;
  }
  function isFloat(object) {
    return Object.prototype.toString.call(object) === "[object Number]" && (object % 1 !== 0 || common.isNegativeZero(object));
  }
  var float = new type("tag:yaml.org,2002:float", {
    kind: "scalar",
    resolve: resolveYamlFloat,
    construct: constructYamlFloat,
    predicate: isFloat,
    represent: representYamlFloat,
    defaultStyle: "lowercase"
  }), json = failsafe.extend({
    implicit: [
      _null,
      bool,
      int,
      float
    ]
  }), core = json, YAML_DATE_REGEXP = new RegExp(
    "^([0-9][0-9][0-9][0-9])-([0-9][0-9])-([0-9][0-9])$"
  ), YAML_TIMESTAMP_REGEXP = new RegExp(
    "^([0-9][0-9][0-9][0-9])-([0-9][0-9]?)-([0-9][0-9]?)(?:[Tt]|[ \\t]+)([0-9][0-9]?):([0-9][0-9]):([0-9][0-9])(?:\\.([0-9]*))?(?:[ \\t]*(Z|([-+])([0-9][0-9]?)(?::([0-9][0-9]))?))?$"
  );
  function resolveYamlTimestamp(data) {
    return data === null ? !1 : YAML_DATE_REGEXP.exec(data) !== null || YAML_TIMESTAMP_REGEXP.exec(data) !== null;
  }
  function constructYamlTimestamp(data) {
    var match, year, month, day, hour, minute, second, fraction = 0, delta = null, tz_hour, tz_minute, date;
    if (match = YAML_DATE_REGEXP.exec(data), match === null && (match = YAML_TIMESTAMP_REGEXP.exec(data)), match === null) throw new Error("Date resolve error");
    if (year = +match[1], month = +match[2] - 1, day = +match[3], !match[4])
      return new Date(Date.UTC(year, month, day));
    if (hour = +match[4], minute = +match[5], second = +match[6], match[7]) {
      for (fraction = match[7].slice(0, 3); fraction.length < 3; )
        fraction += "0";
      fraction = +fraction;
    }
    return match[9] && (tz_hour = +match[10], tz_minute = +(match[11] || 0), delta = (tz_hour * 60 + tz_minute) * 6e4, match[9] === "-" && (delta = -delta)), date = new Date(Date.UTC(year, month, day, hour, minute, second, fraction)), delta && date.setTime(date.getTime() - delta), date;
  }
  function representYamlTimestamp(object) {
    return object.toISOString();
  }
  var timestamp = new type("tag:yaml.org,2002:timestamp", {
    kind: "scalar",
    resolve: resolveYamlTimestamp,
    construct: constructYamlTimestamp,
    instanceOf: Date,
    represent: representYamlTimestamp
  });
  function resolveYamlMerge(data) {
    return data === "<<" || data === null;
  }
  var merge = new type("tag:yaml.org,2002:merge", {
    kind: "scalar",
    resolve: resolveYamlMerge
  }), BASE64_MAP = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=
\r`;
  function resolveYamlBinary(data) {
    if (data === null) return !1;
    var code, idx, bitlen = 0, max = data.length, map2 = BASE64_MAP;
    for (idx = 0; idx < max; idx++)
      if (code = map2.indexOf(data.charAt(idx)), !(code > 64)) {
        if (code < 0) return !1;
        bitlen += 6;
      }
    return bitlen % 8 === 0;
  }
  function constructYamlBinary(data) {
    var idx, tailbits, input = data.replace(/[\r\n=]/g, ""), max = input.length, map2 = BASE64_MAP, bits = 0, result = [];
    for (idx = 0; idx < max; idx++)
      idx % 4 === 0 && idx && (result.push(bits >> 16 & 255), result.push(bits >> 8 & 255), result.push(bits & 255)), bits = bits << 6 | map2.indexOf(input.charAt(idx));
    return tailbits = max % 4 * 6, tailbits === 0 ? (result.push(bits >> 16 & 255), result.push(bits >> 8 & 255), result.push(bits & 255)) : tailbits === 18 ? (result.push(bits >> 10 & 255), result.push(bits >> 2 & 255)) : tailbits === 12 && result.push(bits >> 4 & 255), new Uint8Array(result);
  }
  function representYamlBinary(object) {
    var result = "", bits = 0, idx, tail, max = object.length, map2 = BASE64_MAP;
    for (idx = 0; idx < max; idx++)
      idx % 3 === 0 && idx && (result += map2[bits >> 18 & 63], result += map2[bits >> 12 & 63], result += map2[bits >> 6 & 63], result += map2[bits & 63]), bits = (bits << 8) + object[idx];
    return tail = max % 3, tail === 0 ? (result += map2[bits >> 18 & 63], result += map2[bits >> 12 & 63], result += map2[bits >> 6 & 63], result += map2[bits & 63]) : tail === 2 ? (result += map2[bits >> 10 & 63], result += map2[bits >> 4 & 63], result += map2[bits << 2 & 63], result += map2[64]) : tail === 1 && (result += map2[bits >> 2 & 63], result += map2[bits << 4 & 63], result += map2[64], result += map2[64]), result;
  }
  function isBinary(obj) {
    return Object.prototype.toString.call(obj) === "[object Uint8Array]";
  }
  var binary = new type("tag:yaml.org,2002:binary", {
    kind: "scalar",
    resolve: resolveYamlBinary,
    construct: constructYamlBinary,
    predicate: isBinary,
    represent: representYamlBinary
  }), _hasOwnProperty$3 = Object.prototype.hasOwnProperty, _toString$2 = Object.prototype.toString;
  function resolveYamlOmap(data) {
    if (data === null) return !0;
    var objectKeys = [], index, length, pair, pairKey, pairHasKey, object = data;
    for (index = 0, length = object.length; index < length; index += 1) {
      if (pair = object[index], pairHasKey = !1, _toString$2.call(pair) !== "[object Object]") return !1;
      for (pairKey in pair)
        if (_hasOwnProperty$3.call(pair, pairKey))
          if (!pairHasKey) pairHasKey = !0;
          else return !1;
      if (!pairHasKey) return !1;
      if (objectKeys.indexOf(pairKey) === -1) objectKeys.push(pairKey);
      else return !1;
    }
    return !0;
  }
  function constructYamlOmap(data) {
    return data !== null ? data : [];
  }
  var omap = new type("tag:yaml.org,2002:omap", {
    kind: "sequence",
    resolve: resolveYamlOmap,
    construct: constructYamlOmap
  }), _toString$1 = Object.prototype.toString;
  function resolveYamlPairs(data) {
    if (data === null) return !0;
    var index, length, pair, keys, result, object = data;
    for (result = new Array(object.length), index = 0, length = object.length; index < length; index += 1) {
      if (pair = object[index], _toString$1.call(pair) !== "[object Object]" || (keys = Object.keys(pair), keys.length !== 1)) return !1;
      result[index] = [keys[0], pair[keys[0]]];
    }
    return !0;
  }
  function constructYamlPairs(data) {
    if (data === null) return [];
    var index, length, pair, keys, result, object = data;
    for (result = new Array(object.length), index = 0, length = object.length; index < length; index += 1)
      pair = object[index], keys = Object.keys(pair), result[index] = [keys[0], pair[keys[0]]];
    return result;
  }
  var pairs2 = new type("tag:yaml.org,2002:pairs", {
    kind: "sequence",
    resolve: resolveYamlPairs,
    construct: constructYamlPairs
  }), _hasOwnProperty$2 = Object.prototype.hasOwnProperty;
  function resolveYamlSet(data) {
    if (data === null) return !0;
    var key, object = data;
    for (key in object)
      if (_hasOwnProperty$2.call(object, key) && object[key] !== null)
        return !1;
    return !0;
  }
  function constructYamlSet(data) {
    return data !== null ? data : {};
  }
  var set = new type("tag:yaml.org,2002:set", {
    kind: "mapping",
    resolve: resolveYamlSet,
    construct: constructYamlSet
  }), _default = core.extend({
    implicit: [
      timestamp,
      merge
    ],
    explicit: [
      binary,
      omap,
      pairs2,
      set
    ]
  }), _hasOwnProperty$1 = Object.prototype.hasOwnProperty, CONTEXT_FLOW_IN = 1, CONTEXT_FLOW_OUT = 2, CONTEXT_BLOCK_IN = 3, CONTEXT_BLOCK_OUT = 4, CHOMPING_CLIP = 1, CHOMPING_STRIP = 2, CHOMPING_KEEP = 3, PATTERN_NON_PRINTABLE = /[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x84\x86-\x9F\uFFFE\uFFFF]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?:[^\uD800-\uDBFF]|^)[\uDC00-\uDFFF]/, PATTERN_NON_ASCII_LINE_BREAKS = /[\x85\u2028\u2029]/, PATTERN_FLOW_INDICATORS = /[,\[\]\{\}]/, PATTERN_TAG_HANDLE = /^(?:!|!!|![a-z\-]+!)$/i, PATTERN_TAG_URI = /^(?:!|[^,\[\]\{\}])(?:%[0-9a-f]{2}|[0-9a-z\-#;\/\?:@&=\+\$,_\.!~\*'\(\)\[\]])*$/i;
  function _class(obj) {
    return Object.prototype.toString.call(obj);
  }
  function is_EOL(c3) {
    return c3 === 10 || c3 === 13;
  }
  function is_WHITE_SPACE(c3) {
    return c3 === 9 || c3 === 32;
  }
  function is_WS_OR_EOL(c3) {
    return c3 === 9 || c3 === 32 || c3 === 10 || c3 === 13;
  }
  function is_FLOW_INDICATOR(c3) {
    return c3 === 44 || c3 === 91 || c3 === 93 || c3 === 123 || c3 === 125;
  }
  function fromHexCode(c3) {
    var lc;
    return 48 <= c3 && c3 <= 57 ? c3 - 48 : (lc = c3 | 32, 97 <= lc && lc <= 102 ? lc - 97 + 10 : -1);
  }
  function escapedHexLen(c3) {
    return c3 === 120 ? 2 : c3 === 117 ? 4 : c3 === 85 ? 8 : 0;
  }
  function fromDecimalCode(c3) {
    return 48 <= c3 && c3 <= 57 ? c3 - 48 : -1;
  }
  function simpleEscapeSequence(c3) {
    return c3 === 48 ? "\0" : c3 === 97 ? "\x07" : c3 === 98 ? "\b" : c3 === 116 || c3 === 9 ? "	" : c3 === 110 ? `
` : c3 === 118 ? "\v" : c3 === 102 ? "\f" : c3 === 114 ? "\r" : c3 === 101 ? "\x1B" : c3 === 32 ? " " : c3 === 34 ? '"' : c3 === 47 ? "/" : c3 === 92 ? "\\" : c3 === 78 ? "" : c3 === 95 ? " " : c3 === 76 ? "\u2028" : c3 === 80 ? "\u2029" : "";
  }
  function charFromCodepoint(c3) {
    return c3 <= 65535 ? String.fromCharCode(c3) : String.fromCharCode(
      (c3 - 65536 >> 10) + 55296,
      (c3 - 65536 & 1023) + 56320
    );
  }
  function setProperty(object, key, value) {
    key === "__proto__" ? Object.defineProperty(object, key, {
      configurable: !0,
      enumerable: !0,
      writable: !0,
      value
    }) : object[key] = value;
  }
  var simpleEscapeCheck = new Array(256), simpleEscapeMap = new Array(256);
  for (i3 = 0; i3 < 256; i3++)
    simpleEscapeCheck[i3] = simpleEscapeSequence(i3) ? 1 : 0, simpleEscapeMap[i3] = simpleEscapeSequence(i3);
  var i3;
  function State$1(input, options) {
    this.input = input, this.filename = options.filename || null, this.schema = options.schema || _default, this.onWarning = options.onWarning || null, this.legacy = options.legacy || !1, this.json = options.json || !1, this.listener = options.listener || null, this.implicitTypes = this.schema.compiledImplicit, this.typeMap = this.schema.compiledTypeMap, this.length = input.length, this.position = 0, this.line = 0, this.lineStart = 0, this.lineIndent = 0, this.firstTabInLine = -1, this.documents = [];
  }
  function generateError(state, message) {
    var mark = {
      name: state.filename,
      buffer: state.input.slice(0, -1),
      // omit trailing \0
      position: state.position,
      line: state.line,
      column: state.position - state.lineStart
    };
    return mark.snippet = snippet(mark), new exception(message, mark);
  }
  function throwError(state, message) {
    throw generateError(state, message);
  }
  function throwWarning(state, message) {
    state.onWarning && state.onWarning.call(null, generateError(state, message));
  }
  var directiveHandlers = {
    YAML: function(state, name, args) {
      var match, major, minor;
      state.version !== null && throwError(state, "duplication of %YAML directive"), args.length !== 1 && throwError(state, "YAML directive accepts exactly one argument"), match = /^([0-9]+)\.([0-9]+)$/.exec(args[0]), match === null && throwError(state, "ill-formed argument of the YAML directive"), major = parseInt(match[1], 10), minor = parseInt(match[2], 10), major !== 1 && throwError(state, "unacceptable YAML version of the document"), state.version = args[0], state.checkLineBreaks = minor < 2, minor !== 1 && minor !== 2 && throwWarning(state, "unsupported YAML version of the document");
    },
    TAG: function(state, name, args) {
      var handle, prefix;
      args.length !== 2 && throwError(state, "TAG directive accepts exactly two arguments"), handle = args[0], prefix = args[1], PATTERN_TAG_HANDLE.test(handle) || throwError(state, "ill-formed tag handle (first argument) of the TAG directive"), _hasOwnProperty$1.call(state.tagMap, handle) && throwError(state, 'there is a previously declared suffix for "' + handle + '" tag handle'), PATTERN_TAG_URI.test(prefix) || throwError(state, "ill-formed tag prefix (second argument) of the TAG directive");
      try {
        prefix = decodeURIComponent(prefix);
      } catch {
        throwError(state, "tag prefix is malformed: " + prefix);
      }
      state.tagMap[handle] = prefix;
    }
  };
  function captureSegment(state, start, end, checkJson) {
    var _position, _length, _character, _result;
    if (start < end) {
      if (_result = state.input.slice(start, end), checkJson)
        for (_position = 0, _length = _result.length; _position < _length; _position += 1)
          _character = _result.charCodeAt(_position), _character === 9 || 32 <= _character && _character <= 1114111 || throwError(state, "expected valid JSON character");
      else PATTERN_NON_PRINTABLE.test(_result) && throwError(state, "the stream contains non-printable characters");
      state.result += _result;
    }
  }
  function mergeMappings(state, destination, source, overridableKeys) {
    var sourceKeys, key, index, quantity2;
    for (common.isObject(source) || throwError(state, "cannot merge mappings; the provided source object is unacceptable"), sourceKeys = Object.keys(source), index = 0, quantity2 = sourceKeys.length; index < quantity2; index += 1)
      key = sourceKeys[index], _hasOwnProperty$1.call(destination, key) || (setProperty(destination, key, source[key]), overridableKeys[key] = !0);
  }
  function storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, valueNode, startLine, startLineStart, startPos) {
    var index, quantity2;
    if (Array.isArray(keyNode))
      for (keyNode = Array.prototype.slice.call(keyNode), index = 0, quantity2 = keyNode.length; index < quantity2; index += 1)
        Array.isArray(keyNode[index]) && throwError(state, "nested arrays are not supported inside keys"), typeof keyNode == "object" && _class(keyNode[index]) === "[object Object]" && (keyNode[index] = "[object Object]");
    if (typeof keyNode == "object" && _class(keyNode) === "[object Object]" && (keyNode = "[object Object]"), keyNode = String(keyNode), _result === null && (_result = {}), keyTag === "tag:yaml.org,2002:merge")
      if (Array.isArray(valueNode))
        for (index = 0, quantity2 = valueNode.length; index < quantity2; index += 1)
          mergeMappings(state, _result, valueNode[index], overridableKeys);
      else
        mergeMappings(state, _result, valueNode, overridableKeys);
    else
      !state.json && !_hasOwnProperty$1.call(overridableKeys, keyNode) && _hasOwnProperty$1.call(_result, keyNode) && (state.line = startLine || state.line, state.lineStart = startLineStart || state.lineStart, state.position = startPos || state.position, throwError(state, "duplicated mapping key")), setProperty(_result, keyNode, valueNode), delete overridableKeys[keyNode];
    return _result;
  }
  function readLineBreak(state) {
    var ch;
    ch = state.input.charCodeAt(state.position), ch === 10 ? state.position++ : ch === 13 ? (state.position++, state.input.charCodeAt(state.position) === 10 && state.position++) : throwError(state, "a line break is expected"), state.line += 1, state.lineStart = state.position, state.firstTabInLine = -1;
  }
  function skipSeparationSpace(state, allowComments, checkIndent) {
    for (var lineBreaks = 0, ch = state.input.charCodeAt(state.position); ch !== 0; ) {
      for (; is_WHITE_SPACE(ch); )
        ch === 9 && state.firstTabInLine === -1 && (state.firstTabInLine = state.position), ch = state.input.charCodeAt(++state.position);
      if (allowComments && ch === 35)
        do
          ch = state.input.charCodeAt(++state.position);
        while (ch !== 10 && ch !== 13 && ch !== 0);
      if (is_EOL(ch))
        for (readLineBreak(state), ch = state.input.charCodeAt(state.position), lineBreaks++, state.lineIndent = 0; ch === 32; )
          state.lineIndent++, ch = state.input.charCodeAt(++state.position);
      else
        break;
    }
    return checkIndent !== -1 && lineBreaks !== 0 && state.lineIndent < checkIndent && throwWarning(state, "deficient indentation"), lineBreaks;
  }
  function testDocumentSeparator(state) {
    var _position = state.position, ch;
    return ch = state.input.charCodeAt(_position), !!((ch === 45 || ch === 46) && ch === state.input.charCodeAt(_position + 1) && ch === state.input.charCodeAt(_position + 2) && (_position += 3, ch = state.input.charCodeAt(_position), ch === 0 || is_WS_OR_EOL(ch)));
  }
  function writeFoldedLines(state, count2) {
    count2 === 1 ? state.result += " " : count2 > 1 && (state.result += common.repeat(`
`, count2 - 1));
  }
  function readPlainScalar(state, nodeIndent, withinFlowCollection) {
    var preceding, following, captureStart, captureEnd, hasPendingContent, _line, _lineStart, _lineIndent, _kind = state.kind, _result = state.result, ch;
    if (ch = state.input.charCodeAt(state.position), is_WS_OR_EOL(ch) || is_FLOW_INDICATOR(ch) || ch === 35 || ch === 38 || ch === 42 || ch === 33 || ch === 124 || ch === 62 || ch === 39 || ch === 34 || ch === 37 || ch === 64 || ch === 96 || (ch === 63 || ch === 45) && (following = state.input.charCodeAt(state.position + 1), is_WS_OR_EOL(following) || withinFlowCollection && is_FLOW_INDICATOR(following)))
      return !1;
    for (state.kind = "scalar", state.result = "", captureStart = captureEnd = state.position, hasPendingContent = !1; ch !== 0; ) {
      if (ch === 58) {
        if (following = state.input.charCodeAt(state.position + 1), is_WS_OR_EOL(following) || withinFlowCollection && is_FLOW_INDICATOR(following))
          break;
      } else if (ch === 35) {
        if (preceding = state.input.charCodeAt(state.position - 1), is_WS_OR_EOL(preceding))
          break;
      } else {
        if (state.position === state.lineStart && testDocumentSeparator(state) || withinFlowCollection && is_FLOW_INDICATOR(ch))
          break;
        if (is_EOL(ch))
          if (_line = state.line, _lineStart = state.lineStart, _lineIndent = state.lineIndent, skipSeparationSpace(state, !1, -1), state.lineIndent >= nodeIndent) {
            hasPendingContent = !0, ch = state.input.charCodeAt(state.position);
            continue;
          } else {
            state.position = captureEnd, state.line = _line, state.lineStart = _lineStart, state.lineIndent = _lineIndent;
            break;
          }
      }
      hasPendingContent && (captureSegment(state, captureStart, captureEnd, !1), writeFoldedLines(state, state.line - _line), captureStart = captureEnd = state.position, hasPendingContent = !1), is_WHITE_SPACE(ch) || (captureEnd = state.position + 1), ch = state.input.charCodeAt(++state.position);
    }
    return captureSegment(state, captureStart, captureEnd, !1), state.result ? !0 : (state.kind = _kind, state.result = _result, !1);
  }
  function readSingleQuotedScalar(state, nodeIndent) {
    var ch, captureStart, captureEnd;
    if (ch = state.input.charCodeAt(state.position), ch !== 39)
      return !1;
    for (state.kind = "scalar", state.result = "", state.position++, captureStart = captureEnd = state.position; (ch = state.input.charCodeAt(state.position)) !== 0; )
      if (ch === 39)
        if (captureSegment(state, captureStart, state.position, !0), ch = state.input.charCodeAt(++state.position), ch === 39)
          captureStart = state.position, state.position++, captureEnd = state.position;
        else
          return !0;
      else is_EOL(ch) ? (captureSegment(state, captureStart, captureEnd, !0), writeFoldedLines(state, skipSeparationSpace(state, !1, nodeIndent)), captureStart = captureEnd = state.position) : state.position === state.lineStart && testDocumentSeparator(state) ? throwError(state, "unexpected end of the document within a single quoted scalar") : (state.position++, captureEnd = state.position);
    throwError(state, "unexpected end of the stream within a single quoted scalar");
  }
  function readDoubleQuotedScalar(state, nodeIndent) {
    var captureStart, captureEnd, hexLength, hexResult, tmp, ch;
    if (ch = state.input.charCodeAt(state.position), ch !== 34)
      return !1;
    for (state.kind = "scalar", state.result = "", state.position++, captureStart = captureEnd = state.position; (ch = state.input.charCodeAt(state.position)) !== 0; ) {
      if (ch === 34)
        return captureSegment(state, captureStart, state.position, !0), state.position++, !0;
      if (ch === 92) {
        if (captureSegment(state, captureStart, state.position, !0), ch = state.input.charCodeAt(++state.position), is_EOL(ch))
          skipSeparationSpace(state, !1, nodeIndent);
        else if (ch < 256 && simpleEscapeCheck[ch])
          state.result += simpleEscapeMap[ch], state.position++;
        else if ((tmp = escapedHexLen(ch)) > 0) {
          for (hexLength = tmp, hexResult = 0; hexLength > 0; hexLength--)
            ch = state.input.charCodeAt(++state.position), (tmp = fromHexCode(ch)) >= 0 ? hexResult = (hexResult << 4) + tmp : throwError(state, "expected hexadecimal character");
          state.result += charFromCodepoint(hexResult), state.position++;
        } else
          throwError(state, "unknown escape sequence");
        captureStart = captureEnd = state.position;
      } else is_EOL(ch) ? (captureSegment(state, captureStart, captureEnd, !0), writeFoldedLines(state, skipSeparationSpace(state, !1, nodeIndent)), captureStart = captureEnd = state.position) : state.position === state.lineStart && testDocumentSeparator(state) ? throwError(state, "unexpected end of the document within a double quoted scalar") : (state.position++, captureEnd = state.position);
    }
    throwError(state, "unexpected end of the stream within a double quoted scalar");
  }
  function readFlowCollection(state, nodeIndent) {
    var readNext = !0, _line, _lineStart, _pos, _tag = state.tag, _result, _anchor = state.anchor, following, terminator, isPair, isExplicitPair, isMapping, overridableKeys = /* @__PURE__ */ Object.create(null), keyNode, keyTag, valueNode, ch;
    if (ch = state.input.charCodeAt(state.position), ch === 91)
      terminator = 93, isMapping = !1, _result = [];
    else if (ch === 123)
      terminator = 125, isMapping = !0, _result = {};
    else
      return !1;
    for (state.anchor !== null && (state.anchorMap[state.anchor] = _result), ch = state.input.charCodeAt(++state.position); ch !== 0; ) {
      if (skipSeparationSpace(state, !0, nodeIndent), ch = state.input.charCodeAt(state.position), ch === terminator)
        return state.position++, state.tag = _tag, state.anchor = _anchor, state.kind = isMapping ? "mapping" : "sequence", state.result = _result, !0;
      readNext ? ch === 44 && throwError(state, "expected the node content, but found ','") : throwError(state, "missed comma between flow collection entries"), keyTag = keyNode = valueNode = null, isPair = isExplicitPair = !1, ch === 63 && (following = state.input.charCodeAt(state.position + 1), is_WS_OR_EOL(following) && (isPair = isExplicitPair = !0, state.position++, skipSeparationSpace(state, !0, nodeIndent))), _line = state.line, _lineStart = state.lineStart, _pos = state.position, composeNode(state, nodeIndent, CONTEXT_FLOW_IN, !1, !0), keyTag = state.tag, keyNode = state.result, skipSeparationSpace(state, !0, nodeIndent), ch = state.input.charCodeAt(state.position), (isExplicitPair || state.line === _line) && ch === 58 && (isPair = !0, ch = state.input.charCodeAt(++state.position), skipSeparationSpace(state, !0, nodeIndent), composeNode(state, nodeIndent, CONTEXT_FLOW_IN, !1, !0), valueNode = state.result), isMapping ? storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, valueNode, _line, _lineStart, _pos) : isPair ? _result.push(storeMappingPair(state, null, overridableKeys, keyTag, keyNode, valueNode, _line, _lineStart, _pos)) : _result.push(keyNode), skipSeparationSpace(state, !0, nodeIndent), ch = state.input.charCodeAt(state.position), ch === 44 ? (readNext = !0, ch = state.input.charCodeAt(++state.position)) : readNext = !1;
    }
    throwError(state, "unexpected end of the stream within a flow collection");
  }
  function readBlockScalar(state, nodeIndent) {
    var captureStart, folding, chomping = CHOMPING_CLIP, didReadContent = !1, detectedIndent = !1, textIndent = nodeIndent, emptyLines = 0, atMoreIndented = !1, tmp, ch;
    if (ch = state.input.charCodeAt(state.position), ch === 124)
      folding = !1;
    else if (ch === 62)
      folding = !0;
    else
      return !1;
    for (state.kind = "scalar", state.result = ""; ch !== 0; )
      if (ch = state.input.charCodeAt(++state.position), ch === 43 || ch === 45)
        CHOMPING_CLIP === chomping ? chomping = ch === 43 ? CHOMPING_KEEP : CHOMPING_STRIP : throwError(state, "repeat of a chomping mode identifier");
      else if ((tmp = fromDecimalCode(ch)) >= 0)
        tmp === 0 ? throwError(state, "bad explicit indentation width of a block scalar; it cannot be less than one") : detectedIndent ? throwError(state, "repeat of an indentation width identifier") : (textIndent = nodeIndent + tmp - 1, detectedIndent = !0);
      else
        break;
    if (is_WHITE_SPACE(ch)) {
      do
        ch = state.input.charCodeAt(++state.position);
      while (is_WHITE_SPACE(ch));
      if (ch === 35)
        do
          ch = state.input.charCodeAt(++state.position);
        while (!is_EOL(ch) && ch !== 0);
    }
    for (; ch !== 0; ) {
      for (readLineBreak(state), state.lineIndent = 0, ch = state.input.charCodeAt(state.position); (!detectedIndent || state.lineIndent < textIndent) && ch === 32; )
        state.lineIndent++, ch = state.input.charCodeAt(++state.position);
      if (!detectedIndent && state.lineIndent > textIndent && (textIndent = state.lineIndent), is_EOL(ch)) {
        emptyLines++;
        continue;
      }
      if (state.lineIndent < textIndent) {
        chomping === CHOMPING_KEEP ? state.result += common.repeat(`
`, didReadContent ? 1 + emptyLines : emptyLines) : chomping === CHOMPING_CLIP && didReadContent && (state.result += `
`);
        break;
      }
      for (folding ? is_WHITE_SPACE(ch) ? (atMoreIndented = !0, state.result += common.repeat(`
`, didReadContent ? 1 + emptyLines : emptyLines)) : atMoreIndented ? (atMoreIndented = !1, state.result += common.repeat(`
`, emptyLines + 1)) : emptyLines === 0 ? didReadContent && (state.result += " ") : state.result += common.repeat(`
`, emptyLines) : state.result += common.repeat(`
`, didReadContent ? 1 + emptyLines : emptyLines), didReadContent = !0, detectedIndent = !0, emptyLines = 0, captureStart = state.position; !is_EOL(ch) && ch !== 0; )
        ch = state.input.charCodeAt(++state.position);
      captureSegment(state, captureStart, state.position, !1);
    }
    return !0;
  }
  function readBlockSequence(state, nodeIndent) {
    var _line, _tag = state.tag, _anchor = state.anchor, _result = [], following, detected = !1, ch;
    if (state.firstTabInLine !== -1) return !1;
    for (state.anchor !== null && (state.anchorMap[state.anchor] = _result), ch = state.input.charCodeAt(state.position); ch !== 0 && (state.firstTabInLine !== -1 && (state.position = state.firstTabInLine, throwError(state, "tab characters must not be used in indentation")), !(ch !== 45 || (following = state.input.charCodeAt(state.position + 1), !is_WS_OR_EOL(following)))); ) {
      if (detected = !0, state.position++, skipSeparationSpace(state, !0, -1) && state.lineIndent <= nodeIndent) {
        _result.push(null), ch = state.input.charCodeAt(state.position);
        continue;
      }
      if (_line = state.line, composeNode(state, nodeIndent, CONTEXT_BLOCK_IN, !1, !0), _result.push(state.result), skipSeparationSpace(state, !0, -1), ch = state.input.charCodeAt(state.position), (state.line === _line || state.lineIndent > nodeIndent) && ch !== 0)
        throwError(state, "bad indentation of a sequence entry");
      else if (state.lineIndent < nodeIndent)
        break;
    }
    return detected ? (state.tag = _tag, state.anchor = _anchor, state.kind = "sequence", state.result = _result, !0) : !1;
  }
  function readBlockMapping(state, nodeIndent, flowIndent) {
    var following, allowCompact, _line, _keyLine, _keyLineStart, _keyPos, _tag = state.tag, _anchor = state.anchor, _result = {}, overridableKeys = /* @__PURE__ */ Object.create(null), keyTag = null, keyNode = null, valueNode = null, atExplicitKey = !1, detected = !1, ch;
    if (state.firstTabInLine !== -1) return !1;
    for (state.anchor !== null && (state.anchorMap[state.anchor] = _result), ch = state.input.charCodeAt(state.position); ch !== 0; ) {
      if (!atExplicitKey && state.firstTabInLine !== -1 && (state.position = state.firstTabInLine, throwError(state, "tab characters must not be used in indentation")), following = state.input.charCodeAt(state.position + 1), _line = state.line, (ch === 63 || ch === 58) && is_WS_OR_EOL(following))
        ch === 63 ? (atExplicitKey && (storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, null, _keyLine, _keyLineStart, _keyPos), keyTag = keyNode = valueNode = null), detected = !0, atExplicitKey = !0, allowCompact = !0) : atExplicitKey ? (atExplicitKey = !1, allowCompact = !0) : throwError(state, "incomplete explicit mapping pair; a key node is missed; or followed by a non-tabulated empty line"), state.position += 1, ch = following;
      else {
        if (_keyLine = state.line, _keyLineStart = state.lineStart, _keyPos = state.position, !composeNode(state, flowIndent, CONTEXT_FLOW_OUT, !1, !0))
          break;
        if (state.line === _line) {
          for (ch = state.input.charCodeAt(state.position); is_WHITE_SPACE(ch); )
            ch = state.input.charCodeAt(++state.position);
          if (ch === 58)
            ch = state.input.charCodeAt(++state.position), is_WS_OR_EOL(ch) || throwError(state, "a whitespace character is expected after the key-value separator within a block mapping"), atExplicitKey && (storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, null, _keyLine, _keyLineStart, _keyPos), keyTag = keyNode = valueNode = null), detected = !0, atExplicitKey = !1, allowCompact = !1, keyTag = state.tag, keyNode = state.result;
          else if (detected)
            throwError(state, "can not read an implicit mapping pair; a colon is missed");
          else
            return state.tag = _tag, state.anchor = _anchor, !0;
        } else if (detected)
          throwError(state, "can not read a block mapping entry; a multiline key may not be an implicit key");
        else
          return state.tag = _tag, state.anchor = _anchor, !0;
      }
      if ((state.line === _line || state.lineIndent > nodeIndent) && (atExplicitKey && (_keyLine = state.line, _keyLineStart = state.lineStart, _keyPos = state.position), composeNode(state, nodeIndent, CONTEXT_BLOCK_OUT, !0, allowCompact) && (atExplicitKey ? keyNode = state.result : valueNode = state.result), atExplicitKey || (storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, valueNode, _keyLine, _keyLineStart, _keyPos), keyTag = keyNode = valueNode = null), skipSeparationSpace(state, !0, -1), ch = state.input.charCodeAt(state.position)), (state.line === _line || state.lineIndent > nodeIndent) && ch !== 0)
        throwError(state, "bad indentation of a mapping entry");
      else if (state.lineIndent < nodeIndent)
        break;
    }
    return atExplicitKey && storeMappingPair(state, _result, overridableKeys, keyTag, keyNode, null, _keyLine, _keyLineStart, _keyPos), detected && (state.tag = _tag, state.anchor = _anchor, state.kind = "mapping", state.result = _result), detected;
  }
  function readTagProperty(state) {
    var _position, isVerbatim = !1, isNamed = !1, tagHandle, tagName, ch;
    if (ch = state.input.charCodeAt(state.position), ch !== 33) return !1;
    if (state.tag !== null && throwError(state, "duplication of a tag property"), ch = state.input.charCodeAt(++state.position), ch === 60 ? (isVerbatim = !0, ch = state.input.charCodeAt(++state.position)) : ch === 33 ? (isNamed = !0, tagHandle = "!!", ch = state.input.charCodeAt(++state.position)) : tagHandle = "!", _position = state.position, isVerbatim) {
      do
        ch = state.input.charCodeAt(++state.position);
      while (ch !== 0 && ch !== 62);
      state.position < state.length ? (tagName = state.input.slice(_position, state.position), ch = state.input.charCodeAt(++state.position)) : throwError(state, "unexpected end of the stream within a verbatim tag");
    } else {
      for (; ch !== 0 && !is_WS_OR_EOL(ch); )
        ch === 33 && (isNamed ? throwError(state, "tag suffix cannot contain exclamation marks") : (tagHandle = state.input.slice(_position - 1, state.position + 1), PATTERN_TAG_HANDLE.test(tagHandle) || throwError(state, "named tag handle cannot contain such characters"), isNamed = !0, _position = state.position + 1)), ch = state.input.charCodeAt(++state.position);
      tagName = state.input.slice(_position, state.position), PATTERN_FLOW_INDICATORS.test(tagName) && throwError(state, "tag suffix cannot contain flow indicator characters");
    }
    tagName && !PATTERN_TAG_URI.test(tagName) && throwError(state, "tag name cannot contain such characters: " + tagName);
    try {
      tagName = decodeURIComponent(tagName);
    } catch {
      throwError(state, "tag name is malformed: " + tagName);
    }
    return isVerbatim ? state.tag = tagName : _hasOwnProperty$1.call(state.tagMap, tagHandle) ? state.tag = state.tagMap[tagHandle] + tagName : tagHandle === "!" ? state.tag = "!" + tagName : tagHandle === "!!" ? state.tag = "tag:yaml.org,2002:" + tagName : throwError(state, 'undeclared tag handle "' + tagHandle + '"'), !0;
  }
  function readAnchorProperty(state) {
    var _position, ch;
    if (ch = state.input.charCodeAt(state.position), ch !== 38) return !1;
    for (state.anchor !== null && throwError(state, "duplication of an anchor property"), ch = state.input.charCodeAt(++state.position), _position = state.position; ch !== 0 && !is_WS_OR_EOL(ch) && !is_FLOW_INDICATOR(ch); )
      ch = state.input.charCodeAt(++state.position);
    return state.position === _position && throwError(state, "name of an anchor node must contain at least one character"), state.anchor = state.input.slice(_position, state.position), !0;
  }
  function readAlias(state) {
    var _position, alias, ch;
    if (ch = state.input.charCodeAt(state.position), ch !== 42) return !1;
    for (ch = state.input.charCodeAt(++state.position), _position = state.position; ch !== 0 && !is_WS_OR_EOL(ch) && !is_FLOW_INDICATOR(ch); )
      ch = state.input.charCodeAt(++state.position);
    return state.position === _position && throwError(state, "name of an alias node must contain at least one character"), alias = state.input.slice(_position, state.position), _hasOwnProperty$1.call(state.anchorMap, alias) || throwError(state, 'unidentified alias "' + alias + '"'), state.result = state.anchorMap[alias], skipSeparationSpace(state, !0, -1), !0;
  }
  function composeNode(state, parentIndent, nodeContext, allowToSeek, allowCompact) {
    var allowBlockStyles, allowBlockScalars, allowBlockCollections, indentStatus = 1, atNewLine = !1, hasContent = !1, typeIndex, typeQuantity, typeList, type2, flowIndent, blockIndent;
    if (state.listener !== null && state.listener("open", state), state.tag = null, state.anchor = null, state.kind = null, state.result = null, allowBlockStyles = allowBlockScalars = allowBlockCollections = CONTEXT_BLOCK_OUT === nodeContext || CONTEXT_BLOCK_IN === nodeContext, allowToSeek && skipSeparationSpace(state, !0, -1) && (atNewLine = !0, state.lineIndent > parentIndent ? indentStatus = 1 : state.lineIndent === parentIndent ? indentStatus = 0 : state.lineIndent < parentIndent && (indentStatus = -1)), indentStatus === 1)
      for (; readTagProperty(state) || readAnchorProperty(state); )
        skipSeparationSpace(state, !0, -1) ? (atNewLine = !0, allowBlockCollections = allowBlockStyles, state.lineIndent > parentIndent ? indentStatus = 1 : state.lineIndent === parentIndent ? indentStatus = 0 : state.lineIndent < parentIndent && (indentStatus = -1)) : allowBlockCollections = !1;
    if (allowBlockCollections && (allowBlockCollections = atNewLine || allowCompact), (indentStatus === 1 || CONTEXT_BLOCK_OUT === nodeContext) && (CONTEXT_FLOW_IN === nodeContext || CONTEXT_FLOW_OUT === nodeContext ? flowIndent = parentIndent : flowIndent = parentIndent + 1, blockIndent = state.position - state.lineStart, indentStatus === 1 ? allowBlockCollections && (readBlockSequence(state, blockIndent) || readBlockMapping(state, blockIndent, flowIndent)) || readFlowCollection(state, flowIndent) ? hasContent = !0 : (allowBlockScalars && readBlockScalar(state, flowIndent) || readSingleQuotedScalar(state, flowIndent) || readDoubleQuotedScalar(state, flowIndent) ? hasContent = !0 : readAlias(state) ? (hasContent = !0, (state.tag !== null || state.anchor !== null) && throwError(state, "alias node should not have any properties")) : readPlainScalar(state, flowIndent, CONTEXT_FLOW_IN === nodeContext) && (hasContent = !0, state.tag === null && (state.tag = "?")), state.anchor !== null && (state.anchorMap[state.anchor] = state.result)) : indentStatus === 0 && (hasContent = allowBlockCollections && readBlockSequence(state, blockIndent))), state.tag === null)
      state.anchor !== null && (state.anchorMap[state.anchor] = state.result);
    else if (state.tag === "?") {
      for (state.result !== null && state.kind !== "scalar" && throwError(state, 'unacceptable node kind for !<?> tag; it should be "scalar", not "' + state.kind + '"'), typeIndex = 0, typeQuantity = state.implicitTypes.length; typeIndex < typeQuantity; typeIndex += 1)
        if (type2 = state.implicitTypes[typeIndex], type2.resolve(state.result)) {
          state.result = type2.construct(state.result), state.tag = type2.tag, state.anchor !== null && (state.anchorMap[state.anchor] = state.result);
          break;
        }
    } else if (state.tag !== "!") {
      if (_hasOwnProperty$1.call(state.typeMap[state.kind || "fallback"], state.tag))
        type2 = state.typeMap[state.kind || "fallback"][state.tag];
      else
        for (type2 = null, typeList = state.typeMap.multi[state.kind || "fallback"], typeIndex = 0, typeQuantity = typeList.length; typeIndex < typeQuantity; typeIndex += 1)
          if (state.tag.slice(0, typeList[typeIndex].tag.length) === typeList[typeIndex].tag) {
            type2 = typeList[typeIndex];
            break;
          }
      type2 || throwError(state, "unknown tag !<" + state.tag + ">"), state.result !== null && type2.kind !== state.kind && throwError(state, "unacceptable node kind for !<" + state.tag + '> tag; it should be "' + type2.kind + '", not "' + state.kind + '"'), type2.resolve(state.result, state.tag) ? (state.result = type2.construct(state.result, state.tag), state.anchor !== null && (state.anchorMap[state.anchor] = state.result)) : throwError(state, "cannot resolve a node with !<" + state.tag + "> explicit tag");
    }
    return state.listener !== null && state.listener("close", state), state.tag !== null || state.anchor !== null || hasContent;
  }
  function readDocument(state) {
    var documentStart = state.position, _position, directiveName, directiveArgs, hasDirectives = !1, ch;
    for (state.version = null, state.checkLineBreaks = state.legacy, state.tagMap = /* @__PURE__ */ Object.create(null), state.anchorMap = /* @__PURE__ */ Object.create(null); (ch = state.input.charCodeAt(state.position)) !== 0 && (skipSeparationSpace(state, !0, -1), ch = state.input.charCodeAt(state.position), !(state.lineIndent > 0 || ch !== 37)); ) {
      for (hasDirectives = !0, ch = state.input.charCodeAt(++state.position), _position = state.position; ch !== 0 && !is_WS_OR_EOL(ch); )
        ch = state.input.charCodeAt(++state.position);
      for (directiveName = state.input.slice(_position, state.position), directiveArgs = [], directiveName.length < 1 && throwError(state, "directive name must not be less than one character in length"); ch !== 0; ) {
        for (; is_WHITE_SPACE(ch); )
          ch = state.input.charCodeAt(++state.position);
        if (ch === 35) {
          do
            ch = state.input.charCodeAt(++state.position);
          while (ch !== 0 && !is_EOL(ch));
          break;
        }
        if (is_EOL(ch)) break;
        for (_position = state.position; ch !== 0 && !is_WS_OR_EOL(ch); )
          ch = state.input.charCodeAt(++state.position);
        directiveArgs.push(state.input.slice(_position, state.position));
      }
      ch !== 0 && readLineBreak(state), _hasOwnProperty$1.call(directiveHandlers, directiveName) ? directiveHandlers[directiveName](state, directiveName, directiveArgs) : throwWarning(state, 'unknown document directive "' + directiveName + '"');
    }
    if (skipSeparationSpace(state, !0, -1), state.lineIndent === 0 && state.input.charCodeAt(state.position) === 45 && state.input.charCodeAt(state.position + 1) === 45 && state.input.charCodeAt(state.position + 2) === 45 ? (state.position += 3, skipSeparationSpace(state, !0, -1)) : hasDirectives && throwError(state, "directives end mark is expected"), composeNode(state, state.lineIndent - 1, CONTEXT_BLOCK_OUT, !1, !0), skipSeparationSpace(state, !0, -1), state.checkLineBreaks && PATTERN_NON_ASCII_LINE_BREAKS.test(state.input.slice(documentStart, state.position)) && throwWarning(state, "non-ASCII line breaks are interpreted as content"), state.documents.push(state.result), state.position === state.lineStart && testDocumentSeparator(state)) {
      state.input.charCodeAt(state.position) === 46 && (state.position += 3, skipSeparationSpace(state, !0, -1));
      return;
    }
    if (state.position < state.length - 1)
      throwError(state, "end of the stream or a document separator is expected");
    else
      return;
  }
  function loadDocuments(input, options) {
    input = String(input), options = options || {}, input.length !== 0 && (input.charCodeAt(input.length - 1) !== 10 && input.charCodeAt(input.length - 1) !== 13 && (input += `
`), input.charCodeAt(0) === 65279 && (input = input.slice(1)));
    var state = new State$1(input, options), nullpos = input.indexOf("\0");
    for (nullpos !== -1 && (state.position = nullpos, throwError(state, "null byte is not allowed in input")), state.input += "\0"; state.input.charCodeAt(state.position) === 32; )
      state.lineIndent += 1, state.position += 1;
    for (; state.position < state.length - 1; )
      readDocument(state);
    return state.documents;
  }
  function loadAll$1(input, iterator, options) {
    iterator !== null && typeof iterator == "object" && typeof options > "u" && (options = iterator, iterator = null);
    var documents = loadDocuments(input, options);
    if (typeof iterator != "function")
      return documents;
    for (var index = 0, length = documents.length; index < length; index += 1)
      iterator(documents[index]);
  }
  function load$1(input, options) {
    var documents = loadDocuments(input, options);
    if (documents.length !== 0) {
      if (documents.length === 1)
        return documents[0];
      throw new exception("expected a single document in the stream, but found more");
    }
  }
  var loadAll_1 = loadAll$1, load_1 = load$1, loader = {
    loadAll: loadAll_1,
    load: load_1
  }, _toString = Object.prototype.toString, _hasOwnProperty = Object.prototype.hasOwnProperty, CHAR_BOM = 65279, CHAR_TAB = 9, CHAR_LINE_FEED = 10, CHAR_CARRIAGE_RETURN = 13, CHAR_SPACE = 32, CHAR_EXCLAMATION = 33, CHAR_DOUBLE_QUOTE = 34, CHAR_SHARP = 35, CHAR_PERCENT = 37, CHAR_AMPERSAND = 38, CHAR_SINGLE_QUOTE = 39, CHAR_ASTERISK = 42, CHAR_COMMA = 44, CHAR_MINUS = 45, CHAR_COLON = 58, CHAR_EQUALS = 61, CHAR_GREATER_THAN = 62, CHAR_QUESTION = 63, CHAR_COMMERCIAL_AT = 64, CHAR_LEFT_SQUARE_BRACKET = 91, CHAR_RIGHT_SQUARE_BRACKET = 93, CHAR_GRAVE_ACCENT = 96, CHAR_LEFT_CURLY_BRACKET = 123, CHAR_VERTICAL_LINE = 124, CHAR_RIGHT_CURLY_BRACKET = 125, ESCAPE_SEQUENCES = {};
  ESCAPE_SEQUENCES[0] = "\\0";
  ESCAPE_SEQUENCES[7] = "\\a";
  ESCAPE_SEQUENCES[8] = "\\b";
  ESCAPE_SEQUENCES[9] = "\\t";
  ESCAPE_SEQUENCES[10] = "\\n";
  ESCAPE_SEQUENCES[11] = "\\v";
  ESCAPE_SEQUENCES[12] = "\\f";
  ESCAPE_SEQUENCES[13] = "\\r";
  ESCAPE_SEQUENCES[27] = "\\e";
  ESCAPE_SEQUENCES[34] = '\\"';
  ESCAPE_SEQUENCES[92] = "\\\\";
  ESCAPE_SEQUENCES[133] = "\\N";
  ESCAPE_SEQUENCES[160] = "\\_";
  ESCAPE_SEQUENCES[8232] = "\\L";
  ESCAPE_SEQUENCES[8233] = "\\P";
  var DEPRECATED_BOOLEANS_SYNTAX = [
    "y",
    "Y",
    "yes",
    "Yes",
    "YES",
    "on",
    "On",
    "ON",
    "n",
    "N",
    "no",
    "No",
    "NO",
    "off",
    "Off",
    "OFF"
  ], DEPRECATED_BASE60_SYNTAX = /^[-+]?[0-9_]+(?::[0-9_]+)+(?:\.[0-9_]*)?$/;
  function compileStyleMap(schema2, map2) {
    var result, keys, index, length, tag, style, type2;
    if (map2 === null) return {};
    for (result = {}, keys = Object.keys(map2), index = 0, length = keys.length; index < length; index += 1)
      tag = keys[index], style = String(map2[tag]), tag.slice(0, 2) === "!!" && (tag = "tag:yaml.org,2002:" + tag.slice(2)), type2 = schema2.compiledTypeMap.fallback[tag], type2 && _hasOwnProperty.call(type2.styleAliases, style) && (style = type2.styleAliases[style]), result[tag] = style;
    return result;
  }
  function encodeHex(character) {
    var string, handle, length;
    if (string = character.toString(16).toUpperCase(), character <= 255)
      handle = "x", length = 2;
    else if (character <= 65535)
      handle = "u", length = 4;
    else if (character <= 4294967295)
      handle = "U", length = 8;
    else
      throw new exception("code point within a string may not be greater than 0xFFFFFFFF");
    return "\\" + handle + common.repeat("0", length - string.length) + string;
  }
  var QUOTING_TYPE_SINGLE = 1, QUOTING_TYPE_DOUBLE = 2;
  function State(options) {
    this.schema = options.schema || _default, this.indent = Math.max(1, options.indent || 2), this.noArrayIndent = options.noArrayIndent || !1, this.skipInvalid = options.skipInvalid || !1, this.flowLevel = common.isNothing(options.flowLevel) ? -1 : options.flowLevel, this.styleMap = compileStyleMap(this.schema, options.styles || null), this.sortKeys = options.sortKeys || !1, this.lineWidth = options.lineWidth || 80, this.noRefs = options.noRefs || !1, this.noCompatMode = options.noCompatMode || !1, this.condenseFlow = options.condenseFlow || !1, this.quotingType = options.quotingType === '"' ? QUOTING_TYPE_DOUBLE : QUOTING_TYPE_SINGLE, this.forceQuotes = options.forceQuotes || !1, this.replacer = typeof options.replacer == "function" ? options.replacer : null, this.implicitTypes = this.schema.compiledImplicit, this.explicitTypes = this.schema.compiledExplicit, this.tag = null, this.result = "", this.duplicates = [], this.usedDuplicates = null;
  }
  function indentString(string, spaces2) {
    for (var ind = common.repeat(" ", spaces2), position = 0, next = -1, result = "", line, length = string.length; position < length; )
      next = string.indexOf(`
`, position), next === -1 ? (line = string.slice(position), position = length) : (line = string.slice(position, next + 1), position = next + 1), line.length && line !== `
` && (result += ind), result += line;
    return result;
  }
  function generateNextLine(state, level) {
    return `
` + common.repeat(" ", state.indent * level);
  }
  function testImplicitResolving(state, str2) {
    var index, length, type2;
    for (index = 0, length = state.implicitTypes.length; index < length; index += 1)
      if (type2 = state.implicitTypes[index], type2.resolve(str2))
        return !0;
    return !1;
  }
  function isWhitespace(c3) {
    return c3 === CHAR_SPACE || c3 === CHAR_TAB;
  }
  function isPrintable(c3) {
    return 32 <= c3 && c3 <= 126 || 161 <= c3 && c3 <= 55295 && c3 !== 8232 && c3 !== 8233 || 57344 <= c3 && c3 <= 65533 && c3 !== CHAR_BOM || 65536 <= c3 && c3 <= 1114111;
  }
  function isNsCharOrWhitespace(c3) {
    return isPrintable(c3) && c3 !== CHAR_BOM && c3 !== CHAR_CARRIAGE_RETURN && c3 !== CHAR_LINE_FEED;
  }
  function isPlainSafe(c3, prev, inblock) {
    var cIsNsCharOrWhitespace = isNsCharOrWhitespace(c3), cIsNsChar = cIsNsCharOrWhitespace && !isWhitespace(c3);
    return (
      // ns-plain-safe
      (inblock ? (
        // c = flow-in
        cIsNsCharOrWhitespace
      ) : cIsNsCharOrWhitespace && c3 !== CHAR_COMMA && c3 !== CHAR_LEFT_SQUARE_BRACKET && c3 !== CHAR_RIGHT_SQUARE_BRACKET && c3 !== CHAR_LEFT_CURLY_BRACKET && c3 !== CHAR_RIGHT_CURLY_BRACKET) && c3 !== CHAR_SHARP && !(prev === CHAR_COLON && !cIsNsChar) || isNsCharOrWhitespace(prev) && !isWhitespace(prev) && c3 === CHAR_SHARP || prev === CHAR_COLON && cIsNsChar
    );
  }
  function isPlainSafeFirst(c3) {
    return isPrintable(c3) && c3 !== CHAR_BOM && !isWhitespace(c3) && c3 !== CHAR_MINUS && c3 !== CHAR_QUESTION && c3 !== CHAR_COLON && c3 !== CHAR_COMMA && c3 !== CHAR_LEFT_SQUARE_BRACKET && c3 !== CHAR_RIGHT_SQUARE_BRACKET && c3 !== CHAR_LEFT_CURLY_BRACKET && c3 !== CHAR_RIGHT_CURLY_BRACKET && c3 !== CHAR_SHARP && c3 !== CHAR_AMPERSAND && c3 !== CHAR_ASTERISK && c3 !== CHAR_EXCLAMATION && c3 !== CHAR_VERTICAL_LINE && c3 !== CHAR_EQUALS && c3 !== CHAR_GREATER_THAN && c3 !== CHAR_SINGLE_QUOTE && c3 !== CHAR_DOUBLE_QUOTE && c3 !== CHAR_PERCENT && c3 !== CHAR_COMMERCIAL_AT && c3 !== CHAR_GRAVE_ACCENT;
  }
  function isPlainSafeLast(c3) {
    return !isWhitespace(c3) && c3 !== CHAR_COLON;
  }
  function codePointAt(string, pos) {
    var first = string.charCodeAt(pos), second;
    return first >= 55296 && first <= 56319 && pos + 1 < string.length && (second = string.charCodeAt(pos + 1), second >= 56320 && second <= 57343) ? (first - 55296) * 1024 + second - 56320 + 65536 : first;
  }
  function needIndentIndicator(string) {
    var leadingSpaceRe = /^\n* /;
    return leadingSpaceRe.test(string);
  }
  var STYLE_PLAIN = 1, STYLE_SINGLE = 2, STYLE_LITERAL = 3, STYLE_FOLDED = 4, STYLE_DOUBLE = 5;
  function chooseScalarStyle(string, singleLineOnly, indentPerLevel, lineWidth, testAmbiguousType, quotingType, forceQuotes, inblock) {
    var i3, char = 0, prevChar = null, hasLineBreak = !1, hasFoldableLine = !1, shouldTrackWidth = lineWidth !== -1, previousLineBreak = -1, plain = isPlainSafeFirst(codePointAt(string, 0)) && isPlainSafeLast(codePointAt(string, string.length - 1));
    if (singleLineOnly || forceQuotes)
      for (i3 = 0; i3 < string.length; char >= 65536 ? i3 += 2 : i3++) {
        if (char = codePointAt(string, i3), !isPrintable(char))
          return STYLE_DOUBLE;
        plain = plain && isPlainSafe(char, prevChar, inblock), prevChar = char;
      }
    else {
      for (i3 = 0; i3 < string.length; char >= 65536 ? i3 += 2 : i3++) {
        if (char = codePointAt(string, i3), char === CHAR_LINE_FEED)
          hasLineBreak = !0, shouldTrackWidth && (hasFoldableLine = hasFoldableLine || // Foldable line = too long, and not more-indented.
          i3 - previousLineBreak - 1 > lineWidth && string[previousLineBreak + 1] !== " ", previousLineBreak = i3);
        else if (!isPrintable(char))
          return STYLE_DOUBLE;
        plain = plain && isPlainSafe(char, prevChar, inblock), prevChar = char;
      }
      hasFoldableLine = hasFoldableLine || shouldTrackWidth && i3 - previousLineBreak - 1 > lineWidth && string[previousLineBreak + 1] !== " ";
    }
    return !hasLineBreak && !hasFoldableLine ? plain && !forceQuotes && !testAmbiguousType(string) ? STYLE_PLAIN : quotingType === QUOTING_TYPE_DOUBLE ? STYLE_DOUBLE : STYLE_SINGLE : indentPerLevel > 9 && needIndentIndicator(string) ? STYLE_DOUBLE : forceQuotes ? quotingType === QUOTING_TYPE_DOUBLE ? STYLE_DOUBLE : STYLE_SINGLE : hasFoldableLine ? STYLE_FOLDED : STYLE_LITERAL;
  }
  function writeScalar(state, string, level, iskey, inblock) {
    state.dump = (function() {
      if (string.length === 0)
        return state.quotingType === QUOTING_TYPE_DOUBLE ? '""' : "''";
      if (!state.noCompatMode && (DEPRECATED_BOOLEANS_SYNTAX.indexOf(string) !== -1 || DEPRECATED_BASE60_SYNTAX.test(string)))
        return state.quotingType === QUOTING_TYPE_DOUBLE ? '"' + string + '"' : "'" + string + "'";
      var indent = state.indent * Math.max(1, level), lineWidth = state.lineWidth === -1 ? -1 : Math.max(Math.min(state.lineWidth, 40), state.lineWidth - indent), singleLineOnly = iskey || state.flowLevel > -1 && level >= state.flowLevel;
      function testAmbiguity(string2) {
        return testImplicitResolving(state, string2);
      }
      switch (chooseScalarStyle(
        string,
        singleLineOnly,
        state.indent,
        lineWidth,
        testAmbiguity,
        state.quotingType,
        state.forceQuotes && !iskey,
        inblock
      )) {
        case STYLE_PLAIN:
          return string;
        case STYLE_SINGLE:
          return "'" + string.replace(/'/g, "''") + "'";
        case STYLE_LITERAL:
          return "|" + blockHeader(string, state.indent) + dropEndingNewline(indentString(string, indent));
        case STYLE_FOLDED:
          return ">" + blockHeader(string, state.indent) + dropEndingNewline(indentString(foldString(string, lineWidth), indent));
        case STYLE_DOUBLE:
          return '"' + escapeString(string) + '"';
        default:
          throw new exception("impossible error: invalid scalar style");
      }
    })();
  }
  function blockHeader(string, indentPerLevel) {
    var indentIndicator = needIndentIndicator(string) ? String(indentPerLevel) : "", clip = string[string.length - 1] === `
`, keep = clip && (string[string.length - 2] === `
` || string === `
`), chomp = keep ? "+" : clip ? "" : "-";
    return indentIndicator + chomp + `
`;
  }
  function dropEndingNewline(string) {
    return string[string.length - 1] === `
` ? string.slice(0, -1) : string;
  }
  function foldString(string, width) {
    for (var lineRe = /(\n+)([^\n]*)/g, result = (function() {
      var nextLF = string.indexOf(`
`);
      return nextLF = nextLF !== -1 ? nextLF : string.length, lineRe.lastIndex = nextLF, foldLine(string.slice(0, nextLF), width);
    })(), prevMoreIndented = string[0] === `
` || string[0] === " ", moreIndented, match; match = lineRe.exec(string); ) {
      var prefix = match[1], line = match[2];
      moreIndented = line[0] === " ", result += prefix + (!prevMoreIndented && !moreIndented && line !== "" ? `
` : "") + foldLine(line, width), prevMoreIndented = moreIndented;
    }
    return result;
  }
  function foldLine(line, width) {
    if (line === "" || line[0] === " ") return line;
    for (var breakRe = / [^ ]/g, match, start = 0, end, curr = 0, next = 0, result = ""; match = breakRe.exec(line); )
      next = match.index, next - start > width && (end = curr > start ? curr : next, result += `
` + line.slice(start, end), start = end + 1), curr = next;
    return result += `
`, line.length - start > width && curr > start ? result += line.slice(start, curr) + `
` + line.slice(curr + 1) : result += line.slice(start), result.slice(1);
  }
  function escapeString(string) {
    for (var result = "", char = 0, escapeSeq, i3 = 0; i3 < string.length; char >= 65536 ? i3 += 2 : i3++)
      char = codePointAt(string, i3), escapeSeq = ESCAPE_SEQUENCES[char], !escapeSeq && isPrintable(char) ? (result += string[i3], char >= 65536 && (result += string[i3 + 1])) : result += escapeSeq || encodeHex(char);
    return result;
  }
  function writeFlowSequence(state, level, object) {
    var _result = "", _tag = state.tag, index, length, value;
    for (index = 0, length = object.length; index < length; index += 1)
      value = object[index], state.replacer && (value = state.replacer.call(object, String(index), value)), (writeNode(state, level, value, !1, !1) || typeof value > "u" && writeNode(state, level, null, !1, !1)) && (_result !== "" && (_result += "," + (state.condenseFlow ? "" : " ")), _result += state.dump);
    state.tag = _tag, state.dump = "[" + _result + "]";
  }
  function writeBlockSequence(state, level, object, compact) {
    var _result = "", _tag = state.tag, index, length, value;
    for (index = 0, length = object.length; index < length; index += 1)
      value = object[index], state.replacer && (value = state.replacer.call(object, String(index), value)), (writeNode(state, level + 1, value, !0, !0, !1, !0) || typeof value > "u" && writeNode(state, level + 1, null, !0, !0, !1, !0)) && ((!compact || _result !== "") && (_result += generateNextLine(state, level)), state.dump && CHAR_LINE_FEED === state.dump.charCodeAt(0) ? _result += "-" : _result += "- ", _result += state.dump);
    state.tag = _tag, state.dump = _result || "[]";
  }
  function writeFlowMapping(state, level, object) {
    var _result = "", _tag = state.tag, objectKeyList = Object.keys(object), index, length, objectKey, objectValue, pairBuffer;
    for (index = 0, length = objectKeyList.length; index < length; index += 1)
      pairBuffer = "", _result !== "" && (pairBuffer += ", "), state.condenseFlow && (pairBuffer += '"'), objectKey = objectKeyList[index], objectValue = object[objectKey], state.replacer && (objectValue = state.replacer.call(object, objectKey, objectValue)), writeNode(state, level, objectKey, !1, !1) && (state.dump.length > 1024 && (pairBuffer += "? "), pairBuffer += state.dump + (state.condenseFlow ? '"' : "") + ":" + (state.condenseFlow ? "" : " "), writeNode(state, level, objectValue, !1, !1) && (pairBuffer += state.dump, _result += pairBuffer));
    state.tag = _tag, state.dump = "{" + _result + "}";
  }
  function writeBlockMapping(state, level, object, compact) {
    var _result = "", _tag = state.tag, objectKeyList = Object.keys(object), index, length, objectKey, objectValue, explicitPair, pairBuffer;
    if (state.sortKeys === !0)
      objectKeyList.sort();
    else if (typeof state.sortKeys == "function")
      objectKeyList.sort(state.sortKeys);
    else if (state.sortKeys)
      throw new exception("sortKeys must be a boolean or a function");
    for (index = 0, length = objectKeyList.length; index < length; index += 1)
      pairBuffer = "", (!compact || _result !== "") && (pairBuffer += generateNextLine(state, level)), objectKey = objectKeyList[index], objectValue = object[objectKey], state.replacer && (objectValue = state.replacer.call(object, objectKey, objectValue)), writeNode(state, level + 1, objectKey, !0, !0, !0) && (explicitPair = state.tag !== null && state.tag !== "?" || state.dump && state.dump.length > 1024, explicitPair && (state.dump && CHAR_LINE_FEED === state.dump.charCodeAt(0) ? pairBuffer += "?" : pairBuffer += "? "), pairBuffer += state.dump, explicitPair && (pairBuffer += generateNextLine(state, level)), writeNode(state, level + 1, objectValue, !0, explicitPair) && (state.dump && CHAR_LINE_FEED === state.dump.charCodeAt(0) ? pairBuffer += ":" : pairBuffer += ": ", pairBuffer += state.dump, _result += pairBuffer));
    state.tag = _tag, state.dump = _result || "{}";
  }
  function detectType(state, object, explicit) {
    var _result, typeList, index, length, type2, style;
    for (typeList = explicit ? state.explicitTypes : state.implicitTypes, index = 0, length = typeList.length; index < length; index += 1)
      if (type2 = typeList[index], (type2.instanceOf || type2.predicate) && (!type2.instanceOf || typeof object == "object" && object instanceof type2.instanceOf) && (!type2.predicate || type2.predicate(object))) {
        if (explicit ? type2.multi && type2.representName ? state.tag = type2.representName(object) : state.tag = type2.tag : state.tag = "?", type2.represent) {
          if (style = state.styleMap[type2.tag] || type2.defaultStyle, _toString.call(type2.represent) === "[object Function]")
            _result = type2.represent(object, style);
          else if (_hasOwnProperty.call(type2.represent, style))
            _result = type2.represent[style](object, style);
          else
            throw new exception("!<" + type2.tag + '> tag resolver accepts not "' + style + '" style');
          state.dump = _result;
        }
        return !0;
      }
    return !1;
  }
  function writeNode(state, level, object, block, compact, iskey, isblockseq) {
    state.tag = null, state.dump = object, detectType(state, object, !1) || detectType(state, object, !0);
    var type2 = _toString.call(state.dump), inblock = block, tagStr;
    block && (block = state.flowLevel < 0 || state.flowLevel > level);
    var objectOrArray = type2 === "[object Object]" || type2 === "[object Array]", duplicateIndex, duplicate;
    if (objectOrArray && (duplicateIndex = state.duplicates.indexOf(object), duplicate = duplicateIndex !== -1), (state.tag !== null && state.tag !== "?" || duplicate || state.indent !== 2 && level > 0) && (compact = !1), duplicate && state.usedDuplicates[duplicateIndex])
      state.dump = "*ref_" + duplicateIndex;
    else {
      if (objectOrArray && duplicate && !state.usedDuplicates[duplicateIndex] && (state.usedDuplicates[duplicateIndex] = !0), type2 === "[object Object]")
        block && Object.keys(state.dump).length !== 0 ? (writeBlockMapping(state, level, state.dump, compact), duplicate && (state.dump = "&ref_" + duplicateIndex + state.dump)) : (writeFlowMapping(state, level, state.dump), duplicate && (state.dump = "&ref_" + duplicateIndex + " " + state.dump));
      else if (type2 === "[object Array]")
        block && state.dump.length !== 0 ? (state.noArrayIndent && !isblockseq && level > 0 ? writeBlockSequence(state, level - 1, state.dump, compact) : writeBlockSequence(state, level, state.dump, compact), duplicate && (state.dump = "&ref_" + duplicateIndex + state.dump)) : (writeFlowSequence(state, level, state.dump), duplicate && (state.dump = "&ref_" + duplicateIndex + " " + state.dump));
      else if (type2 === "[object String]")
        state.tag !== "?" && writeScalar(state, state.dump, level, iskey, inblock);
      else {
        if (type2 === "[object Undefined]")
          return !1;
        if (state.skipInvalid) return !1;
        throw new exception("unacceptable kind of an object to dump " + type2);
      }
      state.tag !== null && state.tag !== "?" && (tagStr = encodeURI(
        state.tag[0] === "!" ? state.tag.slice(1) : state.tag
      ).replace(/!/g, "%21"), state.tag[0] === "!" ? tagStr = "!" + tagStr : tagStr.slice(0, 18) === "tag:yaml.org,2002:" ? tagStr = "!!" + tagStr.slice(18) : tagStr = "!<" + tagStr + ">", state.dump = tagStr + " " + state.dump);
    }
    return !0;
  }
  function getDuplicateReferences(object, state) {
    var objects2 = [], duplicatesIndexes = [], index, length;
    for (inspectNode(object, objects2, duplicatesIndexes), index = 0, length = duplicatesIndexes.length; index < length; index += 1)
      state.duplicates.push(objects2[duplicatesIndexes[index]]);
    state.usedDuplicates = new Array(length);
  }
  function inspectNode(object, objects2, duplicatesIndexes) {
    var objectKeyList, index, length;
    if (object !== null && typeof object == "object")
      if (index = objects2.indexOf(object), index !== -1)
        duplicatesIndexes.indexOf(index) === -1 && duplicatesIndexes.push(index);
      else if (objects2.push(object), Array.isArray(object))
        for (index = 0, length = object.length; index < length; index += 1)
          inspectNode(object[index], objects2, duplicatesIndexes);
      else
        for (objectKeyList = Object.keys(object), index = 0, length = objectKeyList.length; index < length; index += 1)
          inspectNode(object[objectKeyList[index]], objects2, duplicatesIndexes);
  }
  function dump$1(input, options) {
    options = options || {};
    var state = new State(options);
    state.noRefs || getDuplicateReferences(input, state);
    var value = input;
    return state.replacer && (value = state.replacer.call({ "": value }, "", value)), writeNode(state, 0, value, !0, !0) ? state.dump + `
` : "";
  }
  var dump_1 = dump$1, dumper = {
    dump: dump_1
  };
  function renamed(from, to) {
    return function() {
      throw new Error("Function yaml." + from + " is removed in js-yaml 4. Use yaml." + to + " instead, which is now safe by default.");
    };
  }
  var load = loader.load, loadAll = loader.loadAll, dump = dumper.dump;
  var safeLoad = renamed("safeLoad", "load"), safeLoadAll = renamed("safeLoadAll", "loadAll"), safeDump = renamed("safeDump", "dump");

  // src/logic/manifest.ts
  function toYaml(object) {
    return dump(withoutManagedFields(object), { lineWidth: -1, noRefs: !0, sortKeys: !0 });
  }
  function withoutManagedFields(object) {
    if (typeof object != "object" || object === null || !("metadata" in object)) return object;
    let { managedFields: _3, ...metadata } = object.metadata;
    return { ...object, metadata };
  }
  var ManifestError = class extends Error {
  };
  function fromYaml(text2) {
    let documents;
    try {
      documents = loadAll(text2);
    } catch (error) {
      throw new ManifestError(error instanceof Error ? error.message : String(error));
    }
    let objects2 = documents.filter((document2) => document2 != null).flatMap(takeApart);
    if (objects2.length === 0) throw new ManifestError("there is no object in it yet");
    return objects2;
  }
  function takeApart(document2, index) {
    let which = `object ${index + 1}`;
    if (typeof document2 != "object" || document2 === null || Array.isArray(document2))
      throw new ManifestError(`${which} is no mapping of fields`);
    let object = document2;
    if (!object.apiVersion) throw new ManifestError(`${which} has no apiVersion`);
    if (!object.kind) throw new ManifestError(`${which} has no kind`);
    if (object.kind.endsWith("List") && Array.isArray(object.items)) return object.items.flatMap(takeApart);
    if (!object.metadata?.name && !object.metadata?.generateName)
      throw new ManifestError(`${which} (${object.kind}) has no metadata.name`);
    return [object];
  }

  // src/logic/diff.ts
  function diff(before, after) {
    let old = before === "" ? [] : before.split(`
`), fresh = after === "" ? [] : after.split(`
`), start = 0;
    for (; start < old.length && start < fresh.length && old[start] === fresh[start]; ) start += 1;
    let end = 0;
    for (; end < old.length - start && end < fresh.length - start && old[old.length - 1 - end] === fresh[fresh.length - 1 - end]; )
      end += 1;
    let same2 = (text2) => ({ sign: " ", text: text2 });
    return [
      ...old.slice(0, start).map(same2),
      ...middle(old.slice(start, old.length - end), fresh.slice(start, fresh.length - end)),
      ...old.slice(old.length - end).map(same2)
    ];
  }
  function middle(old, fresh) {
    let removed = (text2) => ({ sign: "-", text: text2 }), added = (text2) => ({ sign: "+", text: text2 });
    if (old.length * fresh.length > 4e6) return [...old.map(removed), ...fresh.map(added)];
    let width = fresh.length + 1, lengths = new Uint32Array((old.length + 1) * width), at = (row3, column2) => lengths[row3 * width + column2] ?? 0;
    for (let row3 = old.length - 1; row3 >= 0; row3 -= 1)
      for (let column2 = fresh.length - 1; column2 >= 0; column2 -= 1)
        lengths[row3 * width + column2] = old[row3] === fresh[column2] ? at(row3 + 1, column2 + 1) + 1 : Math.max(at(row3 + 1, column2), at(row3, column2 + 1));
    let lines = [], row2 = 0, column = 0;
    for (; row2 < old.length || column < fresh.length; ) {
      let [was, is] = [old[row2], fresh[column]];
      was !== void 0 && was === is ? (lines.push({ sign: " ", text: was }), row2 += 1, column += 1) : was !== void 0 && (is === void 0 || at(row2 + 1, column) >= at(row2, column + 1)) ? (lines.push(removed(was)), row2 += 1) : is !== void 0 && (lines.push(added(is)), column += 1);
    }
    return lines;
  }
  function fold(lines, around = 3) {
    let near = new Uint8Array(lines.length);
    for (let [index, line] of lines.entries())
      line.sign !== " " && near.fill(1, Math.max(0, index - around), index + around + 1);
    let folded = [], hidden = 0;
    for (let [index, line] of lines.entries()) {
      if (near[index] === 0) {
        hidden += 1;
        continue;
      }
      hidden > 0 && folded.push({ hidden }), hidden = 0, folded.push(line);
    }
    return hidden > 0 && folded.push({ hidden }), folded;
  }

  // src/parts/diffview.tsx
  function DiffView({ before, after }) {
    let lines = diff(before, after);
    return lines.every((line) => line.sign === " ") ? /* @__PURE__ */ u3("p", { class: "empty", children: "Nothing would change." }) : /* @__PURE__ */ u3("pre", { class: "diff", tabIndex: 0, "aria-label": "Changes", children: fold(lines).map(
      (line, index) => "hidden" in line ? /* @__PURE__ */ u3("div", { class: "hidden-lines", children: `⋯ ${line.hidden} lines as they were` }, index) : /* @__PURE__ */ u3("div", { class: line.sign === "+" ? "added" : line.sign === "-" ? "removed" : void 0, children: `${line.sign} ${line.text}` }, index)
    ) });
  }

  // src/views/create.tsx
  function label({ object }) {
    return `${object.kind} ${object.metadata.name ?? ""}`;
  }
  async function tryOne(object, kinds, chosen) {
    let kind = kindOfObject(object, kinds), namespace = kind?.namespaced ? object.metadata.namespace ?? chosen : "", planned = { object, kind, namespace, before: "", after: "", warnings: [], conflict: !1, done: !1 };
    if (kind === void 0) return { ...planned, error: `no matches for kind "${object.kind}" in version "${object.apiVersion}"` };
    let there = await existing(kind, namespace, object.metadata.name), before = there === void 0 ? "" : toYaml(withoutCounters(there));
    try {
      return { ...planned, before, ...await answerOf(send2(kind, object, namespace, !0, !1)) };
    } catch (error) {
      let conflict = error instanceof ApiError && error.reason === "Conflict", taken = conflict ? await answerOf(send2(kind, object, namespace, !0, !0)) : void 0;
      return { ...planned, before, ...taken, error: wordsOf(error), conflict };
    }
  }
  function send2(kind, object, namespace, dryRun, force) {
    return object.metadata.name ? apply2(kind, object, namespace, dryRun, force) : create(kind, object, namespace, dryRun);
  }
  function withoutCounters(object) {
    let { resourceVersion: _version, generation: _generation, ...metadata } = object.metadata;
    return { ...object, metadata };
  }
  async function existing(kind, namespace, name) {
    if (name)
      try {
        return await kube(pathOf(kind, namespace, name));
      } catch {
        return;
      }
  }
  async function answerOf({ path, call }) {
    let { object, warnings } = await kubeWithWarnings(path, call);
    return { after: toYaml(withoutCounters(object)), warnings };
  }
  function Create({ route }) {
    let scope = useScope(), [namespace, setNamespace] = d2(scope.namespace || scope.session.namespace || "default"), [text2, setText] = d2(example(route.query.kind)), [plan, setPlan] = d2(), [error, setError] = d2(), [force, setForce] = d2(!1), [busy, setBusy] = d2(!1), review = async () => {
      setBusy(!0), setError(void 0), setForce(!1);
      try {
        let objects2 = fromYaml(text2), kinds = await discover();
        setPlan(await Promise.all(objects2.map((object) => tryOne(object, kinds, namespace))));
      } catch (failure) {
        setError(wordsOf(failure));
      }
      setBusy(!1);
    }, carryOut = async () => {
      setBusy(!0);
      let done = [...plan ?? []];
      for (let [index, planned] of done.entries()) {
        if (planned.done || planned.kind === void 0) continue;
        let { object, kind } = planned, request = send2(kind, object, planned.namespace, !1, force);
        try {
          let answer = await kube(request.path, request.call);
          done[index] = { ...planned, object: { ...object, metadata: answer.metadata }, error: void 0, done: !0 };
        } catch (failure) {
          done[index] = { ...planned, error: wordsOf(failure) };
          break;
        }
      }
      setPlan(done), setBusy(!1);
    }, finished = plan?.every((planned) => planned.done) ?? !1, hopeless = plan?.some((planned) => planned.kind === void 0 || planned.error !== void 0 && !(planned.conflict && force)) ?? !1;
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Create from YAML" }),
      plan === void 0 ? /* @__PURE__ */ u3(Panel, { wide: !0, children: [
        /* @__PURE__ */ u3(Field, { label: "Namespace, for objects that name none", children: /* @__PURE__ */ u3("input", { value: namespace, onInput: (event) => setNamespace(event.currentTarget.value) }) }),
        /* @__PURE__ */ u3(Field, { label: "YAML", children: /* @__PURE__ */ u3("textarea", { class: "code", rows: 24, spellcheck: !1, value: text2, onInput: (event) => setText(event.currentTarget.value) }) }),
        error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
        /* @__PURE__ */ u3("footer", { children: [
          /* @__PURE__ */ u3("label", { class: "button", children: [
            "Open a file…",
            /* @__PURE__ */ u3(
              "input",
              {
                type: "file",
                class: "visually-hidden",
                accept: ".yaml,.yml,.json",
                onChange: (event) => void event.currentTarget.files?.[0]?.text().then(setText)
              }
            )
          ] }),
          /* @__PURE__ */ u3("button", { type: "button", class: "primary", disabled: busy, onClick: () => void review(), children: "Review" })
        ] })
      ] }) : /* @__PURE__ */ u3(S, { children: [
        plan.map((planned, index) => /* @__PURE__ */ u3(
          Panel,
          {
            wide: !0,
            title: label(planned),
            aside: /* @__PURE__ */ u3(Badge, { tone: planned.error !== void 0 ? "bad" : planned.done ? "good" : "busy", children: verdict(planned) }),
            children: [
              planned.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: planned.error }),
              planned.warnings.map((warning) => /* @__PURE__ */ u3("p", { class: "warning-text", children: `Warning: ${warning}` }, warning)),
              planned.done && planned.kind !== void 0 ? /* @__PURE__ */ u3("p", { children: /* @__PURE__ */ u3("a", { href: linkTo(planned.kind, planned.namespace, planned.object.metadata.name), children: `Look at ${label(planned)}` }) }) : planned.after !== "" && /* @__PURE__ */ u3(DiffView, { before: planned.before, after: planned.after })
            ]
          },
          index
        )),
        plan.some((planned) => planned.conflict) && /* @__PURE__ */ u3("label", { class: "check", children: [
          /* @__PURE__ */ u3("input", { type: "checkbox", checked: force, onChange: (event) => setForce(event.currentTarget.checked) }),
          "Take over the fields that others manage"
        ] }),
        /* @__PURE__ */ u3("footer", { children: [
          /* @__PURE__ */ u3("button", { type: "button", onClick: () => setPlan(void 0), children: finished ? "Create more" : "Back" }),
          !finished && /* @__PURE__ */ u3("button", { type: "button", class: "primary", disabled: busy || hopeless, onClick: () => void carryOut(), children: plan.every((planned) => planned.before === "") ? "Create" : "Apply" })
        ] })
      ] })
    ] });
  }
  function verdict({ error, done, before }) {
    return error !== void 0 ? "refused" : done ? before === "" ? "created" : "applied" : before === "" ? "would be created" : "would be changed";
  }

  // src/logic/timeline.ts
  function moment(event) {
    let times = [
      event.series?.lastObservedTime,
      event.lastTimestamp,
      event.eventTime,
      event.firstTimestamp,
      event.metadata.creationTimestamp
    ].map((text2) => text2 ? Date.parse(text2) : Number.NaN).filter((time) => !Number.isNaN(time)), first = [event.firstTimestamp, event.eventTime, event.metadata.creationTimestamp].map((text2) => text2 ? Date.parse(text2) : Number.NaN).find((time) => !Number.isNaN(time)), at = Math.max(0, ...times);
    return { event, at, since: first ?? at, times: event.series?.count ?? event.count ?? 1 };
  }
  function latestFirst(events) {
    return events.map(moment).sort((one, other) => other.at - one.at);
  }
  function along(moments) {
    let first = Math.min(...moments.map((each) => each.since)), last2 = Math.max(...moments.map((each) => each.at)), length = Math.max(1, last2 - first);
    return moments.map((each) => ({ moment: each, place: (each.at - first) / length }));
  }

  // src/views/events.tsx
  var COLUMNS = [
    { name: "Last", grow: 0.6, cell: ({ at }) => /* @__PURE__ */ u3(Age, { of: new Date(at).toISOString() }), sort: ({ at }) => -at },
    {
      name: "Reason",
      grow: 1.4,
      cell: ({ event }) => /* @__PURE__ */ u3(Badge, { tone: event.type === "Warning" ? "bad" : "good", children: event.reason }),
      sort: ({ event }) => `${event.type === "Warning" ? 0 : 1}${event.reason}`
    },
    {
      name: "Object",
      grow: 2,
      cell: ({ event: { involvedObject: object } }) => {
        let href = linkToReference(object), text2 = `${object.kind}/${object.name}`;
        return href === void 0 ? text2 : /* @__PURE__ */ u3("a", { href, children: text2 });
      },
      sort: ({ event }) => `${event.involvedObject.kind}/${event.involvedObject.name}`
    },
    { name: "Message", grow: 4, cell: ({ event }) => /* @__PURE__ */ u3("span", { title: event.message, children: event.message }) },
    { name: "Times", grow: 0.5, minor: !0, cell: ({ times }) => times, sort: ({ times }) => times },
    { name: "Namespace", grow: 1, minor: !0, cell: ({ event }) => event.metadata.namespace, sort: ({ event }) => event.metadata.namespace ?? "" }
  ];
  function AllEvents() {
    let { namespace } = useScope(), listing = useLive({ path: pathOf(kindOf("events"), namespace) }), rows = T2(() => listing.items.map(moment), [listing.items]);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Events" }),
      /* @__PURE__ */ u3(ListState, { listing, children: /* @__PURE__ */ u3(
        Table,
        {
          label: "Events",
          rows,
          columns: COLUMNS,
          keyOf: ({ event }) => event.metadata.uid,
          textOf: ({ event }) => `${event.reason} ${event.message} ${event.involvedObject.kind}/${event.involvedObject.name} ${event.type}`,
          empty: "Nothing has happened in the last hour."
        }
      ) })
    ] });
  }

  // src/logic/steps.ts
  var StepReader = class {
    rest = "";
    /** The steps that are whole by now. Other types of lines are ignored, and lines that make no sense. */
    read(piece) {
      let lines = (this.rest + piece).split(`
`);
      this.rest = lines.pop() ?? "";
      let read2 = { steps: [], synced: !1, lost: 0 };
      for (let line of lines) {
        let step2 = parsed(line);
        step2?.type === "STEP" ? read2.steps.push(step2) : step2?.type === "SYNCED" ? read2.synced = !0 : step2?.type === "LOST" && (read2.lost += step2.count ?? 0);
      }
      return read2;
    }
  };
  function parsed(line) {
    try {
      return JSON.parse(line);
    } catch {
      return;
    }
  }
  function objectOf({ resource, name }) {
    return resource === void 0 ? "" : `${resource}/${name ?? ""}`;
  }
  function detailsOf({ details }) {
    return Object.entries(details ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  }
  function took(seconds) {
    let milliseconds = seconds * 1e3;
    return milliseconds >= 1e3 ? `${seconds.toFixed(2)} s` : `${milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)} ms`;
  }

  // src/views/follow.tsx
  var PATH = "/debug/hardway/steps";
  function useSteps(uid2, on) {
    let kept = A2({ rows: [], last: 0 }), [version, redraw] = y2((count2) => count2 + 1, 0), [error, setError] = d2(), [lost, setLost] = d2(0);
    return h2(() => {
      if (!on) return;
      let stop = new AbortController(), reader = new StepReader();
      kept.current = { rows: [], last: 0 }, setLost(0);
      let waiting = 0, query = { watch: "true", ...uid2 === "" ? {} : { uid: uid2 } }, onText = (text2) => {
        let read2 = reader.read(text2), { rows: rows2, last: last2 } = kept.current, fresh = read2.steps.map((step2, index) => ({ ...step2, number: last2 + index }));
        kept.current = { rows: [...rows2, ...fresh].slice(-5e3), last: last2 + fresh.length }, read2.lost > 0 && setLost((before) => before + read2.lost), waiting ||= requestAnimationFrame(() => {
          waiting = 0, redraw(0);
        });
      };
      return stream(PATH, query, stop.signal, onText).then(
        () => setError("The feed has ended."),
        (failure) => {
          if (stop.signal.aborted) return;
          let absent = failure instanceof ApiError && failure.code === 404;
          setError(absent ? "This API server notes no steps: it is not hardway's." : wordsOf(failure));
        }
      ), () => {
        stop.abort(), cancelAnimationFrame(waiting);
      };
    }, [uid2, on]), { rows: T2(() => kept.current.rows, [version]), error, lost };
  }
  var TONES = { apiserver: "good", scheduler: "busy", kubelet: "busy" };
  function hrefOf({ resource, namespace, name }) {
    let [plural, ...group] = (resource ?? "").split("."), kind = KINDS.find((known2) => known2.plural === plural && known2.group === group.join("."));
    return kind === void 0 || !name ? void 0 : linkTo(kind, namespace, name);
  }
  var COLUMNS2 = [
    {
      name: "Time",
      grow: 1,
      cell: (row2) => /* @__PURE__ */ u3("time", { dateTime: row2.time, children: row2.time.slice(11, 23) }),
      // The latest first.
      sort: (row2) => -row2.number
    },
    {
      name: "Process",
      grow: 1.6,
      cell: (row2) => /* @__PURE__ */ u3(Badge, { tone: TONES[row2.process] ?? "quiet", children: [
        row2.process,
        row2.host !== void 0 && /* @__PURE__ */ u3("small", { children: row2.host })
      ] }),
      sort: (row2) => row2.process
    },
    { name: "Step", grow: 1, cell: (row2) => row2.what, sort: (row2) => row2.what },
    {
      name: "Object",
      grow: 2.2,
      minor: !0,
      cell: (row2) => {
        let href = hrefOf(row2);
        return href === void 0 ? objectOf(row2) : /* @__PURE__ */ u3("a", { href, children: objectOf(row2) });
      },
      sort: objectOf
    },
    { name: "Took", grow: 0.7, cell: (row2) => row2.seconds === void 0 ? "" : took(row2.seconds), sort: (row2) => -(row2.seconds ?? 0) },
    { name: "Details", grow: 3, minor: !0, cell: (row2) => /* @__PURE__ */ u3("span", { title: detailsOf(row2), children: detailsOf(row2) }) }
  ];
  function Follow({ route }) {
    let { namespace } = useScope(), [on, setOn] = d2(!0), { uid: uid2 = "", name } = route.query, { rows, error, lost } = useSteps(uid2, on), shown2 = T2(
      () => uid2 !== "" || namespace === "" ? rows : rows.filter((row2) => row2.namespace === namespace),
      [rows, uid2, namespace]
    );
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: name === void 0 ? "Follow" : `Follow ${name}`, children: /* @__PURE__ */ u3("button", { type: "button", onClick: () => setOn(!on), children: on ? "Stop" : "Go on" }) }),
      /* @__PURE__ */ u3("p", { class: "note lead", children: "What every process of the cluster does, from the request at the API server's door to the packet filter on the nodes. Change something in another window, and watch." }),
      error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
      lost > 0 && /* @__PURE__ */ u3("p", { class: "note", children: `${lost} steps came faster than they could be shown` }),
      /* @__PURE__ */ u3(
        Table,
        {
          label: "Steps",
          rows: shown2,
          columns: COLUMNS2,
          keyOf: (row2) => String(row2.number),
          textOf: (row2) => `${row2.process} ${row2.host ?? ""} ${row2.what} ${objectOf(row2)} ${row2.namespace ?? ""} ${row2.auditID ?? ""} ${detailsOf(row2)}`,
          empty: "Nothing has happened yet."
        }
      )
    ] });
  }

  // src/views/kinds.tsx
  var GROUPS = {
    services: {
      title: "Services",
      tabs: [
        ["services", "Services"],
        ["ingresses", "Ingresses"],
        ["endpointslices", "EndpointSlices"],
        ["networkpolicies", "Network policies"]
      ]
    },
    storage: {
      title: "Storage",
      tabs: [
        ["persistentvolumeclaims", "Claims"],
        ["persistentvolumes", "Volumes"],
        ["storageclasses", "Classes"]
      ]
    },
    configuration: {
      title: "Configuration",
      tabs: [
        ["configmaps", "ConfigMaps"],
        ["secrets", "Secrets"],
        ["serviceaccounts", "ServiceAccounts"],
        ["resourcequotas", "Quotas"],
        ["limitranges", "Limits"],
        ["horizontalpodautoscalers", "Autoscalers"],
        ["poddisruptionbudgets", "Disruption budgets"],
        ["namespaces", "Namespaces"]
      ]
    }
  };
  function Kinds({ route }) {
    let group = GROUPS[route.view], plural = route.parts[0] ?? group?.tabs[0]?.[0] ?? "";
    if (group === void 0 || !group.tabs.some(([tab]) => tab === plural)) return /* @__PURE__ */ u3(Heading, { title: "There is no such view" });
    let kind = kindOf(plural);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: group.title, children: /* @__PURE__ */ u3("a", { class: "button", href: `#/create?kind=${kind.kind}`, children: "Create…" }) }),
      /* @__PURE__ */ u3(
        Tabs,
        {
          label: group.title,
          current: plural,
          of: group.tabs.map(([id, text2]) => ({ id, text: text2, href: `#/${route.view}/${id}` }))
        }
      ),
      /* @__PURE__ */ u3(KindTable, { kind, label: group.tabs.find(([tab]) => tab === plural)?.[1] }, plural)
    ] });
  }

  // src/views/nodes.tsx
  function Nodes() {
    let nodes = useLive({ path: "/api/v1/nodes" }), metrics = useMetrics("nodes"), columns = T2(
      () => [
        { name: "Name", grow: 1.5, cell: (node) => node.metadata.name, sort: (node) => node.metadata.name },
        {
          name: "Status",
          grow: 1.8,
          cell: (node) => {
            let { ready, words, pressure } = nodeState(node);
            return /* @__PURE__ */ u3(Badge, { tone: !ready || pressure.length > 0 ? "bad" : words.length > 1 ? "busy" : "good", children: [...words, ...pressure].join(", ") });
          },
          sort: (node) => nodeState(node).words.join()
        },
        { name: "Role", cell: roles, sort: roles, minor: !0 },
        { name: "CPU", grow: 0.7, minor: !0, cell: (node) => usageOf(metrics.latest(node.metadata.name)?.cpu, cpu) },
        { name: "Memory", grow: 0.8, minor: !0, cell: (node) => usageOf(metrics.latest(node.metadata.name)?.memory, bytes) },
        { name: "Version", minor: !0, cell: (node) => node.status?.nodeInfo?.kubeletVersion },
        { name: "Age", grow: 0.6, cell: (node) => /* @__PURE__ */ u3(Age, { of: node.metadata.creationTimestamp }), sort: (node) => -Date.parse(node.metadata.creationTimestamp) }
      ],
      [metrics]
    );
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Nodes" }),
      /* @__PURE__ */ u3(ListState, { listing: nodes, children: /* @__PURE__ */ u3(
        Table,
        {
          label: "Nodes",
          rows: nodes.items,
          columns,
          keyOf: (node) => node.metadata.uid,
          linkOf: (node) => linkTo(kindOf("nodes"), void 0, node.metadata.name),
          textOf: (node) => `${node.metadata.name} ${roles(node)} ${nodeState(node).words.join(" ")}`
        }
      ) })
    ] });
  }
  function usageOf(value, format) {
    return value === void 0 ? "–" : format(value);
  }

  // src/parts/toasts.tsx
  var toasts = [], last = 0, redrawAll = () => {
  };
  function toast(text2, bad = !1) {
    last += 1;
    let id = last;
    toasts = [...toasts, { id, text: text2, bad }].slice(-4), redrawAll(), bad || setTimeout(() => close(id), 6e3);
  }
  function close(id) {
    toasts = toasts.filter((toast2) => toast2.id !== id), redrawAll();
  }
  function Toasts() {
    let [, redraw] = y2((count2) => count2 + 1, 0);
    return h2(() => {
      redrawAll = () => redraw(0);
    }, []), /* @__PURE__ */ u3("div", { class: "toasts", role: "status", children: toasts.map(({ id, text: text2, bad }) => /* @__PURE__ */ u3("div", { class: bad ? "toast bad" : "toast", children: [
      /* @__PURE__ */ u3("span", { children: text2 }),
      /* @__PURE__ */ u3("button", { type: "button", class: "icon", "aria-label": "Close message", onClick: () => close(id), children: "✕" })
    ] }, id)) });
  }

  // src/parts/action.tsx
  function ActionButton({ needs, onClick, danger = !1, primary = !1, children }) {
    let allowed = useMay(needs), reason = allowed === !1 ? `You may not ${needs.map(inWords).join(", or not ")}` : void 0;
    return /* @__PURE__ */ u3(
      "button",
      {
        type: "button",
        class: danger ? "danger" : primary ? "primary" : void 0,
        "aria-disabled": allowed !== !0,
        title: reason,
        "aria-description": reason,
        onClick: () => {
          allowed === !0 ? onClick() : reason !== void 0 && toast(reason, !0);
        },
        children
      }
    );
  }
  async function perform(request, done) {
    try {
      let answer = await kube(request.path, request.call);
      return toast(done), answer;
    } catch (error) {
      toast(wordsOf(error), !0);
      return;
    }
  }
  function Confirm({ title, confirm, request, done, danger = !1, onClose, onDone, children }) {
    let [error, setError] = d2(), [busy, setBusy] = d2(!1), send3 = async () => {
      setBusy(!0);
      try {
        let { path, call } = request();
        await kube(path, call), toast(done), onClose(), onDone?.();
      } catch (failure) {
        setError(wordsOf(failure)), setBusy(!1);
      }
    };
    return /* @__PURE__ */ u3(Dialog, { title, onClose, children: /* @__PURE__ */ u3(
      "form",
      {
        onSubmit: (event) => {
          event.preventDefault(), send3();
        },
        children: [
          children,
          error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
          /* @__PURE__ */ u3("footer", { children: [
            /* @__PURE__ */ u3("button", { type: "button", onClick: onClose, children: "Cancel" }),
            /* @__PURE__ */ u3("button", { type: "submit", class: danger ? "danger" : "primary", disabled: busy, children: confirm })
          ] })
        ]
      }
    ) });
  }

  // src/logic/selector.ts
  function matches(selector, labels) {
    if (selector === void 0) return !1;
    let of = labels ?? {};
    return Object.entries(selector.matchLabels ?? {}).every(([key, value]) => of[key] === value) && (selector.matchExpressions ?? []).every((rule) => holds(rule, of));
  }
  function holds(rule, labels) {
    let value = labels[rule.key];
    switch (rule.operator) {
      case "In":
        return value !== void 0 && (rule.values ?? []).includes(value);
      case "NotIn":
        return value === void 0 || !(rule.values ?? []).includes(value);
      case "Exists":
        return value !== void 0;
      case "DoesNotExist":
        return value === void 0;
      default:
        return !1;
    }
  }

  // src/logic/drain.ts
  var MIRROR = "kubernetes.io/config.mirror";
  function previewDrain(node, pods, budgets) {
    let spent = /* @__PURE__ */ new Map(), order = ["deleted for good", "waits", "evicted", "stays"];
    return pods.filter((pod) => pod.spec.nodeName === node.metadata.name).map((pod) => step(pod, budgets, spent)).sort((one, other) => order.indexOf(one.fate) - order.indexOf(other.fate));
  }
  function step(pod, budgets, spent) {
    let owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === !0), emptyDirs = (pod.spec.volumes ?? []).filter((volume) => volume.emptyDir !== void 0), losesData = emptyDirs.length > 0, stays = (why) => ({ pod, fate: "stays", why, losesData: !1 });
    if (pod.metadata.annotations?.[MIRROR] !== void 0) return stays("a static pod: the node's own files say that it runs");
    if (owner?.kind === "DaemonSet") return stays(`DaemonSet ${owner.name} puts a pod on every node`);
    if (pod.metadata.deletionTimestamp !== void 0)
      return { pod, fate: "evicted", why: "is ending already", losesData };
    if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed")
      return { pod, fate: "evicted", why: "has run to its end", losesData };
    let data = losesData ? `; what is in its emptyDir (${emptyDirs.map((volume) => volume.name).join(", ")}) is lost` : "";
    for (let budget of budgets.filter((budget2) => covers(budget2, pod))) {
      let allowed = budget.status?.disruptionsAllowed ?? 0, taken = spent.get(budget.metadata.uid) ?? 0;
      if (spent.set(budget.metadata.uid, taken + 1), taken >= allowed) {
        let why = `PodDisruptionBudget ${budget.metadata.name} allows ${allowed} disruptions now`;
        return { pod, fate: "waits", why: why + data, losesData };
      }
    }
    return owner === void 0 ? { pod, fate: "deleted for good", why: `no controller makes it anew${data}`, losesData } : { pod, fate: "evicted", why: `${owner.kind} ${owner.name} makes another${data}`, losesData };
  }
  function covers(budget, pod) {
    return budget.metadata.namespace === pod.metadata.namespace && matches(budget.spec.selector, pod.metadata.labels);
  }

  // src/actions/drain.tsx
  var TONES2 = { evicted: "busy", stays: "quiet", "deleted for good": "bad", waits: "bad" }, AGAIN = 5e3;
  function Drain({ node, onClose }) {
    let { name } = node.metadata, pods = useLive({ path: pathOf(kindOf("pods")), fieldSelector: `spec.nodeName=${name}` }), budgets = useLive({ path: pathOf(kindOf("poddisruptionbudgets")) }), steps2 = T2(() => previewDrain(node, pods.items, budgets.items), [node, pods.items, budgets.items]), [said, setSaid] = d2(), [error, setError] = d2(), [agreed, setAgreed] = d2(!1), stop = A2(new AbortController());
    h2(() => () => stop.current.abort(), []);
    let leaving = steps2.filter((step2) => step2.fate !== "stays"), loses = leaving.filter((step2) => step2.losesData || step2.fate === "deleted for good").length, start = async () => {
      setSaid({});
      try {
        let { path, call } = cordon(node, !0);
        await kube(path, call), await Promise.all(leaving.map((step2) => evictUntilGone(step2, stop.current.signal, (uid2, words) => setSaid((all) => ({ ...all, [uid2]: words }))))), stop.current.signal.aborted || toast(`Node ${name} is drained`);
      } catch (failure) {
        setError(wordsOf(failure));
      }
    };
    return /* @__PURE__ */ u3(Dialog, { title: `Drain node ${name}`, onClose, wide: !0, children: [
      /* @__PURE__ */ u3(ListState, { listing: pods, children: [
        budgets.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: `Disruption budgets can't be shown: ${budgets.error}` }),
        /* @__PURE__ */ u3("p", { children: [
          "The node takes no new pods, and ",
          count(leaving.length, "pod"),
          " ",
          leaving.length === 1 ? "is" : "are",
          " evicted from it."
        ] }),
        steps2.length === 0 && /* @__PURE__ */ u3(Empty, { children: "No pods are on it." }),
        /* @__PURE__ */ u3("ul", { class: "drain", tabIndex: 0, "aria-label": "What would happen", children: steps2.map((step2) => /* @__PURE__ */ u3("li", { children: [
          /* @__PURE__ */ u3(Badge, { tone: TONES2[step2.fate], children: step2.fate }),
          /* @__PURE__ */ u3("b", { children: `${step2.pod.metadata.namespace}/${step2.pod.metadata.name}` }),
          /* @__PURE__ */ u3("span", { children: said?.[step2.pod.metadata.uid] ?? step2.why })
        ] }, step2.pod.metadata.uid)) })
      ] }),
      error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
      said === void 0 && loses > 0 && /* @__PURE__ */ u3("label", { class: "check", children: [
        /* @__PURE__ */ u3("input", { type: "checkbox", checked: agreed, onChange: (event) => setAgreed(event.currentTarget.checked) }),
        `I know that ${count(loses, "pod")} would lose data or not come back`
      ] }),
      /* @__PURE__ */ u3("footer", { children: [
        /* @__PURE__ */ u3("button", { type: "button", onClick: onClose, children: said === void 0 ? "Cancel" : "Close" }),
        /* @__PURE__ */ u3("button", { type: "button", class: "danger", disabled: said !== void 0 || loses > 0 && !agreed || !pods.ready, onClick: () => void start(), children: "Drain" })
      ] })
    ] });
  }
  async function evictUntilGone(step2, stop, say2) {
    let { uid: uid2 } = step2.pod.metadata;
    for (; !stop.aborted; )
      try {
        let { path, call } = evict(step2.pod);
        await kube(path, { ...call, signal: stop }), say2(uid2, "evicted; ending");
        return;
      } catch (error) {
        if (stop.aborted) return;
        if (error instanceof ApiError && error.code === 404) return say2(uid2, "gone");
        if (say2(uid2, wordsOf(error)), !(error instanceof ApiError && error.code === 429)) return;
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
  }

  // src/logic/rollout.ts
  var REVISION = "deployment.kubernetes.io/revision", REVISION_HASH = "controller-revision-hash";
  function ownedBy(object, uid2) {
    return object.metadata.ownerReferences?.some((owner) => owner.controller === !0 && owner.uid === uid2) ?? !1;
  }
  function revisions(workload, sets, pods, history = []) {
    return workload.kind === "Deployment" || sets.length > 0 ? ofReplicaSets(workload, sets, pods) : ofHashes(workload, pods, history);
  }
  function ofReplicaSets(deployment, sets, pods) {
    let own2 = sets.filter((set2) => ownedBy(set2, deployment.metadata.uid)), newest = Math.max(0, ...own2.map(revisionOf));
    return own2.map((set2) => {
      let members = pods.filter((pod) => ownedBy(pod, set2.metadata.uid));
      return {
        name: set2.metadata.name,
        number: revisionOf(set2),
        current: revisionOf(set2) === newest,
        desired: set2.spec.replicas ?? 1,
        pods: members,
        ready: members.filter(isReady).length
      };
    }).filter((revision) => revision.current || revision.desired > 0 || revision.pods.length > 0).sort((one, other) => other.number - one.number);
  }
  function ofHashes(workload, pods, history) {
    let byHash = /* @__PURE__ */ new Map();
    for (let pod of pods.filter((pod2) => ownedBy(pod2, workload.metadata.uid))) {
      let hash = pod.metadata.labels?.[REVISION_HASH] ?? "";
      byHash.set(hash, [...byHash.get(hash) ?? [], pod]);
    }
    let known2 = history.filter((revision) => ownedBy(revision, workload.metadata.uid)), hashOf = (revision) => revision.metadata.labels?.[REVISION_HASH] ?? revision.metadata.name.slice(workload.metadata.name.length + 1), numbers = new Map(
      known2.flatMap((revision) => [
        [hashOf(revision), revision.revision],
        [revision.metadata.name, revision.revision]
      ])
    ), newest = Math.max(0, ...known2.map((revision) => revision.revision));
    return [...byHash].map(([hash, members]) => ({
      name: hash || workload.metadata.name,
      number: numbers.get(hash) ?? 0,
      current: known2.length === 0 || numbers.get(hash) === newest,
      pods: members,
      ready: members.filter(isReady).length
    })).sort((one, other) => other.number - one.number);
  }
  function revisionOf(object) {
    return Number(object.metadata.annotations?.[REVISION] ?? 0);
  }
  function progress(workload) {
    let status = workload.status ?? {}, going = (words) => ({ done: !1, words });
    if ((status.observedGeneration ?? 0) < (workload.metadata.generation ?? 0))
      return going("waiting for the change to be observed");
    return workload.kind === "DaemonSet" ? ofDaemonSet(workload) : ofReplicas(workload);
    function ofDaemonSet({ status: status2 = {} }) {
      let desired = status2.desiredNumberScheduled ?? 0, updated = status2.updatedNumberScheduled ?? 0, available = status2.numberAvailable ?? 0;
      return updated < desired ? going(`${updated} of ${desired} pods updated`) : available < desired ? going(`${available} of ${desired} updated pods available`) : { done: !0, words: `all ${desired} pods updated and available` };
    }
    function ofReplicas({ kind, spec, status: status2 = {} }) {
      let desired = spec.replicas ?? 1, stuck = status2.conditions?.find(
        (condition) => condition.type === "Progressing" && condition.reason === "ProgressDeadlineExceeded"
      );
      if (stuck !== void 0) return going(`exceeded its progress deadline: ${stuck.message ?? ""}`);
      let updated = kind === "ReplicaSet" ? status2.replicas ?? 0 : status2.updatedReplicas ?? 0;
      if (kind === "StatefulSet") {
        let partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0;
        return (status2.readyReplicas ?? 0) < desired ? going(`${status2.readyReplicas ?? 0} of ${desired} pods ready`) : status2.updateRevision !== status2.currentRevision && updated < desired - partition ? going(`${updated} of ${desired - partition} pods updated`) : { done: !0, words: `all ${desired} pods ready` };
      }
      if (updated < desired) return going(`${updated} of ${desired} replicas updated`);
      let old = (status2.replicas ?? 0) - updated;
      if (old > 0) return going(`${old} old replicas still to end`);
      let available = status2.availableReplicas ?? 0;
      return available < desired ? going(`${available} of ${desired} updated replicas available`) : { done: !0, words: `all ${desired} replicas updated and available` };
    }
  }
  var KEEP2 = 10 * 6e4;
  function record(samples, at, revisions2) {
    let ready = Object.fromEntries(revisions2.map((revision) => [revision.name, revision.ready])), last2 = samples.at(-1);
    if (last2 !== void 0 && same(last2.ready, ready)) return samples;
    let first = Math.max(0, samples.findLastIndex((sample) => sample.at <= at - KEEP2));
    return [...samples.slice(first), { at, ready }];
  }
  function same(one, other) {
    return [.../* @__PURE__ */ new Set([...Object.keys(one), ...Object.keys(other)])].every((key) => (one[key] ?? 0) === (other[key] ?? 0));
  }
  function stack(samples, order, now) {
    let ends = samples.length > 0 ? [...samples, { at: now, ready: samples.at(-1)?.ready ?? {} }] : [];
    return order.map((name, index) => ({
      name,
      edges: ends.map((sample) => {
        let below = order.slice(0, index).reduce((sum, lower) => sum + (sample.ready[lower] ?? 0), 0);
        return [sample.at, below, below + (sample.ready[name] ?? 0)];
      })
    }));
  }

  // src/actions/rollback.tsx
  function useEarlier(kind, object) {
    let { namespace, uid: uid2 } = object.metadata, isDeployment = kind.plural === "deployments", sets = useLive(isDeployment ? { path: pathOf(kindOf("replicasets"), namespace) } : null), history = useLive(isDeployment ? null : { path: pathOf(kindOf("controllerrevisions"), namespace) });
    return { list: T2(() => (isDeployment ? sets.items.filter((set2) => ownedBy(set2, uid2)).map((set2) => ({ number: revisionOf(set2), template: set2.spec.template, request: () => rollBackDeployment(object, set2) })) : history.items.filter((revision) => ownedBy(revision, uid2)).map((revision) => ({
      number: revision.revision,
      template: revision.data?.spec?.template,
      request: () => rollBackToRevision(kind, object, revision)
    }))).sort((one, other) => other.number - one.number).slice(1), [sets.items, history.items, object, kind]), ready: isDeployment ? sets.ready : history.ready };
  }
  function shown(template) {
    let { "pod-template-hash": _3, ...labels } = template?.metadata?.labels ?? {};
    return toYaml({ ...template, metadata: { ...template?.metadata, labels, creationTimestamp: void 0 } });
  }
  function RollBack({ kind, object, onClose }) {
    let { list, ready } = useEarlier(kind, object), [number, setNumber] = d2(), chosen = list.find((revision) => revision.number === number) ?? list[0], title = `Roll back ${kind.kind} ${object.metadata.name}`;
    return chosen === void 0 ? /* @__PURE__ */ u3(Dialog, { title, onClose, children: /* @__PURE__ */ u3(Empty, { children: ready ? "There is no earlier revision." : "Loading…" }) }) : /* @__PURE__ */ u3(
      Confirm,
      {
        title,
        confirm: "Roll back",
        request: chosen.request,
        done: `${object.metadata.name} goes back to revision ${chosen.number}`,
        onClose,
        children: [
          /* @__PURE__ */ u3(Field, { label: "To revision", children: /* @__PURE__ */ u3("select", { value: chosen.number, onChange: (event) => setNumber(Number(event.currentTarget.value)), children: list.map((revision) => /* @__PURE__ */ u3("option", { value: revision.number, children: `${revision.number}: ${revision.template?.spec.containers.map((container) => container.image).join(", ") ?? ""}` }, revision.number)) }) }),
          /* @__PURE__ */ u3(DiffView, { before: shown(object.spec.template), after: shown(chosen.template) })
        ]
      }
    );
  }

  // src/actions/bar.tsx
  var SCALED = /* @__PURE__ */ new Set(["deployments", "statefulsets", "replicasets"]), RESTARTED = /* @__PURE__ */ new Set(["deployments", "statefulsets", "daemonsets"]);
  function ActionBar({ kind, object }) {
    let [open2, setOpen] = d2(), close2 = () => setOpen(void 0), { name, namespace } = object.metadata, may = (verb, subresource = "") => [permission(verb, kind, namespace, name, subresource)], title = `${kind.kind} ${name}`, builtIn = kind.group === "apps" || kind.group === "batch" || kind.group === "", paused = object.spec?.paused === !0;
    return /* @__PURE__ */ u3(S, { children: [
      builtIn && SCALED.has(kind.plural) && /* @__PURE__ */ u3(ActionButton, { needs: may("patch", "scale"), onClick: () => setOpen("scale"), children: "Scale…" }),
      builtIn && RESTARTED.has(kind.plural) && /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3(ActionButton, { needs: may("patch"), onClick: () => setOpen("restart"), children: "Restart…" }),
        /* @__PURE__ */ u3(ActionButton, { needs: may("patch"), onClick: () => setOpen("rollback"), children: "Roll back…" })
      ] }),
      builtIn && kind.plural === "deployments" && /* @__PURE__ */ u3(ActionButton, { needs: may("patch"), onClick: () => void perform(pause(kind, object, !paused), `${title} ${paused ? "goes on" : "is paused"}`), children: paused ? "Resume" : "Pause" }),
      builtIn && kind.plural === "nodes" && /* @__PURE__ */ u3(NodeActions, { node: object, kind, onDrain: () => setOpen("drain") }),
      builtIn && (kind.plural === "cronjobs" || kind.plural === "jobs") && /* @__PURE__ */ u3(JobActions, { kind, object }),
      /* @__PURE__ */ u3(ActionButton, { needs: may("delete"), danger: !0, onClick: () => setOpen("delete"), children: "Delete…" }),
      open2 === "scale" && /* @__PURE__ */ u3(Scale, { kind, object, onClose: close2 }),
      open2 === "restart" && /* @__PURE__ */ u3(
        Confirm,
        {
          title: `Restart ${title}?`,
          confirm: "Restart",
          request: () => restart(kind, object, (/* @__PURE__ */ new Date()).toISOString()),
          done: `${title} restarts`,
          onClose: close2,
          children: /* @__PURE__ */ u3("p", { children: "Its pods are replaced one after the other, as its update strategy says." })
        }
      ),
      open2 === "rollback" && /* @__PURE__ */ u3(RollBack, { kind, object, onClose: close2 }),
      open2 === "drain" && /* @__PURE__ */ u3(Drain, { node: object, onClose: close2 }),
      open2 === "delete" && /* @__PURE__ */ u3(
        Confirm,
        {
          title: `Delete ${title}?`,
          confirm: "Delete",
          danger: !0,
          request: () => remove(kind, object),
          done: `${title} is being deleted`,
          onClose: close2,
          children: [
            /* @__PURE__ */ u3("p", { children: kind.plural === "namespaces" ? "Everything in the namespace is deleted with it." : "It is deleted with what belongs to it. This can't be undone." }),
            (object.metadata.finalizers ?? []).length > 0 && /* @__PURE__ */ u3("p", { children: [
              "It waits for its finalizers: ",
              object.metadata.finalizers?.join(", "),
              "."
            ] })
          ]
        }
      )
    ] });
  }
  function NodeActions({ node, kind, onDrain }) {
    let { name } = node.metadata, needs = [permission("patch", kind, "", name)], off = node.spec.unschedulable === !0;
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(ActionButton, { needs, onClick: () => void perform(cordon(node, !off), `Node ${name} ${off ? "takes" : "takes no"} new pods`), children: off ? "Uncordon" : "Cordon" }),
      /* @__PURE__ */ u3(ActionButton, { needs: [...needs, { verb: "create", group: "", resource: "pods", subresource: "eviction" }], onClick: onDrain, children: "Drain…" })
    ] });
  }
  function JobActions({ kind, object }) {
    let { name, namespace } = object.metadata, suspended = object.spec.suspend === !0;
    return /* @__PURE__ */ u3(S, { children: [
      kind.plural === "cronjobs" && /* @__PURE__ */ u3(
        ActionButton,
        {
          needs: [{ verb: "create", group: "batch", resource: "jobs", namespace }],
          onClick: () => void perform(runNow(object, Date.now()), `A job of ${name} is created`),
          children: "Run now"
        }
      ),
      /* @__PURE__ */ u3(
        ActionButton,
        {
          needs: [permission("patch", kind, namespace, name)],
          onClick: () => void perform(suspend(kind, object, !suspended), `${name} ${suspended ? "goes on" : "is suspended"}`),
          children: suspended ? "Resume" : "Suspend"
        }
      )
    ] });
  }
  function Scale({ kind, object, onClose }) {
    let now = object.spec.replicas ?? 1, [replicas2, setReplicas] = d2(String(now));
    return /* @__PURE__ */ u3(
      Confirm,
      {
        title: `Scale ${kind.kind} ${object.metadata.name}`,
        confirm: "Scale",
        request: () => scale(kind, object, Number(replicas2)),
        done: `${object.metadata.name} is scaled to ${replicas2}`,
        onClose,
        children: /* @__PURE__ */ u3(Field, { label: `Replicas (now ${now})`, children: /* @__PURE__ */ u3(
          "input",
          {
            type: "number",
            min: "0",
            step: "1",
            required: !0,
            value: replicas2,
            onInput: (event) => setReplicas(event.currentTarget.value)
          }
        ) })
      }
    );
  }

  // src/parts/events.tsx
  function Events({ of }) {
    let listing = useLive({
      path: pathOf(kindOf("events"), of.metadata.namespace ?? "default"),
      fieldSelector: `involvedObject.name=${of.metadata.name},involvedObject.kind=${of.kind ?? ""}`
    }), moments = T2(() => latestFirst(listing.items), [listing.items]), points = T2(() => along(moments), [moments]);
    return /* @__PURE__ */ u3(Panel, { title: "Events", wide: !0, children: /* @__PURE__ */ u3(ListState, { listing, children: moments.length === 0 ? /* @__PURE__ */ u3(Empty, { children: "None in the last hour." }) : /* @__PURE__ */ u3(S, { children: [
      points.length > 1 && /* @__PURE__ */ u3("div", { class: "eventline", "aria-hidden": "true", children: points.map(({ moment: moment2, place: place2 }) => /* @__PURE__ */ u3(
        "i",
        {
          class: moment2.event.type === "Warning" ? "warning" : void 0,
          title: `${clock(moment2.at)} ${moment2.event.reason}`,
          ref: (element) => element?.style.setProperty("left", `${(place2 * 100).toFixed(1)}%`)
        },
        moment2.event.metadata.uid
      )) }),
      /* @__PURE__ */ u3("ol", { class: "events", tabIndex: 0, "aria-label": "Events, the latest first", children: moments.map(({ event, at, times }) => /* @__PURE__ */ u3("li", { class: event.type === "Warning" ? "warning" : void 0, children: [
        /* @__PURE__ */ u3(Age, { of: new Date(at).toISOString() }),
        /* @__PURE__ */ u3("b", { children: event.reason }),
        /* @__PURE__ */ u3("span", { children: [
          event.message,
          times > 1 && /* @__PURE__ */ u3("small", { children: [
            " ×",
            times
          ] })
        ] }),
        /* @__PURE__ */ u3("small", { children: event.source?.component || event.reportingComponent })
      ] }, event.metadata.uid)) })
    ] }) }) });
  }

  // src/views/data.tsx
  function Entries({ of }) {
    return of.length === 0 ? /* @__PURE__ */ u3(Empty, { children: "It holds nothing." }) : /* @__PURE__ */ u3("dl", { class: "entries", children: of.map(([key, value]) => /* @__PURE__ */ u3("div", { children: [
      /* @__PURE__ */ u3("dt", { children: key }),
      /* @__PURE__ */ u3("dd", { children: value === void 0 ? /* @__PURE__ */ u3("span", { class: "quiet", children: "hidden" }) : /* @__PURE__ */ u3("pre", { tabIndex: 0, children: value }) })
    ] }, key)) });
  }
  function ConfigData({ object }) {
    let { data = {}, binaryData = {} } = object, entries = [
      ...Object.entries(data),
      ...Object.entries(binaryData).map(([key, value]) => [key, decoded(value)])
    ];
    return /* @__PURE__ */ u3(Panel, { title: "Data", wide: !0, children: /* @__PURE__ */ u3(Entries, { of: entries }) });
  }
  function SecretData({ secret }) {
    let { name, namespace, uid: uid2, resourceVersion } = secret.metadata, [shown2, setShown] = d2(), [error, setError] = d2(), of = `${uid2}/${resourceVersion}`, keys = Object.keys(secret.data ?? {}), reveal = async () => {
      try {
        let whole = await kube(pathOf(kindOf("secrets"), namespace, name));
        setShown({ of, data: whole.data ?? {} }), setError(void 0);
      } catch (failure) {
        setError(wordsOf(failure));
      }
    }, data = shown2?.of === of ? shown2.data : void 0;
    return /* @__PURE__ */ u3(
      Panel,
      {
        title: "Data",
        wide: !0,
        aside: data === void 0 ? /* @__PURE__ */ u3(ActionButton, { needs: [permission("get", kindOf("secrets"), namespace, name)], onClick: () => void reveal(), children: "Show values" }) : /* @__PURE__ */ u3("button", { type: "button", onClick: () => setShown(void 0), children: "Hide values" }),
        children: [
          error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
          /* @__PURE__ */ u3(Entries, { of: keys.map((key) => [key, data === void 0 ? void 0 : decoded(data[key] ?? "")]) })
        ]
      }
    );
  }
  function decoded(base64) {
    try {
      let bytes2 = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      return new TextDecoder("utf-8", { fatal: !0 }).decode(bytes2);
    } catch {
      return `(${Math.floor(base64.length * 3 / 4)} bytes that are no text)`;
    }
  }

  // src/views/pods.tsx
  var TONES3 = { ready: "good", starting: "busy", failing: "bad", ending: "quiet", done: "quiet", unknown: "bad" }, ORDER = ["failing", "unknown", "starting", "ending", "ready", "done"];
  function PodBadge({ pod }) {
    let { word, look } = podState(pod);
    return /* @__PURE__ */ u3(Badge, { tone: TONES3[look], children: word });
  }
  function Pods({ route }) {
    let { namespace } = useScope(), pods = useLive({ path: pathOf(kindOf("pods"), namespace) }), metrics = useMetrics("pods", namespace), unplaced = route.query.show === "unplaced", rows = T2(() => unplaced ? pods.items.filter((pod) => !pod.spec.nodeName) : pods.items, [pods.items, unplaced]);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: unplaced ? "Pods without a node" : "Pods" }),
      /* @__PURE__ */ u3(ListState, { listing: pods, children: /* @__PURE__ */ u3(PodTable, { label: "Pods", pods: rows, metrics }) })
    ] });
  }
  function PodTable({ label: label2, pods, metrics, withoutNode = !1 }) {
    let columns = T2(() => {
      let all = [
        { name: "Name", grow: 3, cell: (pod) => pod.metadata.name, sort: (pod) => pod.metadata.name },
        { name: "Namespace", grow: 1.4, minor: !0, cell: (pod) => pod.metadata.namespace, sort: (pod) => pod.metadata.namespace ?? "" },
        { name: "Status", grow: 1.6, cell: (pod) => /* @__PURE__ */ u3(PodBadge, { pod }), sort: (pod) => ORDER.indexOf(podState(pod).look) },
        {
          name: "Ready",
          grow: 0.7,
          cell: (pod) => {
            let { ready, containers } = podState(pod);
            return `${ready}/${containers}`;
          },
          sort: (pod) => podState(pod).ready
        },
        { name: "Restarts", grow: 0.8, minor: !0, cell: (pod) => podState(pod).restarts, sort: (pod) => podState(pod).restarts }
      ];
      if (withoutNode || all.push({ name: "Node", grow: 1.3, minor: !0, cell: (pod) => pod.spec.nodeName ?? "none", sort: (pod) => pod.spec.nodeName ?? "" }), metrics !== void 0 && !metrics.absent) {
        let of = (pod) => metrics.latest(`${pod.metadata.namespace}/${pod.metadata.name}`);
        all.push(
          { name: "CPU", grow: 0.7, minor: !0, cell: (pod) => cpuOf(of(pod)?.cpu), sort: (pod) => of(pod)?.cpu ?? -1 },
          { name: "Memory", grow: 0.8, minor: !0, cell: (pod) => memoryOf(of(pod)?.memory), sort: (pod) => of(pod)?.memory ?? -1 }
        );
      }
      return all.push({
        name: "Age",
        grow: 0.6,
        cell: (pod) => /* @__PURE__ */ u3(Age, { of: pod.metadata.creationTimestamp }),
        sort: (pod) => -Date.parse(pod.metadata.creationTimestamp)
      }), all;
    }, [metrics, withoutNode]);
    return /* @__PURE__ */ u3(
      Table,
      {
        label: label2,
        rows: pods,
        columns,
        keyOf: uid,
        linkOf: link,
        textOf: text,
        empty: "There are no pods."
      }
    );
  }
  var uid = (pod) => pod.metadata.uid, link = (pod) => linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name), text = (pod) => `${pod.metadata.name} ${pod.metadata.namespace} ${podState(pod).word} ${pod.spec.nodeName ?? ""} ${pod.status?.podIP ?? ""}`, cpuOf = (value) => value === void 0 ? "–" : cpu(value), memoryOf = (value) => value === void 0 ? "–" : bytes(value);

  // src/views/job.tsx
  function JobDetails({ kind, object }) {
    return kind.plural === "jobs" ? /* @__PURE__ */ u3(OneJob, { job: object }) : /* @__PURE__ */ u3(Schedule, { cronJob: object });
  }
  function JobBadge({ job }) {
    let has = (type2) => job.status?.conditions?.some((condition) => condition.type === type2 && condition.status === "True");
    return has("Failed") ? /* @__PURE__ */ u3(Badge, { tone: "bad", children: "failed" }) : has("Complete") ? /* @__PURE__ */ u3(Badge, { tone: "good", children: "complete" }) : job.spec.suspend ? /* @__PURE__ */ u3(Badge, { tone: "quiet", children: "suspended" }) : /* @__PURE__ */ u3(Badge, { tone: "busy", children: "running" });
  }
  function took2({ status = {} }) {
    if (!(!status.startTime || !status.completionTime))
      return duration(Date.parse(status.completionTime) - Date.parse(status.startTime));
  }
  function OneJob({ job }) {
    let pods = useLive({ path: pathOf(kindOf("pods"), job.metadata.namespace) }), own2 = T2(() => pods.items.filter((pod) => ownedBy(pod, job.metadata.uid)), [pods.items, job.metadata.uid]), { status = {}, spec } = job;
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Job", children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["State", /* @__PURE__ */ u3(JobBadge, { job })],
            ["Succeeded", `${status.succeeded ?? 0} of ${spec.completions ?? 1}`],
            ["Running", String(status.active ?? 0)],
            ["Failed", String(status.failed ?? 0)],
            ["At once", String(spec.parallelism ?? 1)],
            ["Took", took2(job)]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Pods", wide: !0, children: /* @__PURE__ */ u3(ListState, { listing: pods, children: /* @__PURE__ */ u3(PodTable, { label: "Pods", pods: own2 }) }) })
    ] });
  }
  function Schedule({ cronJob }) {
    let jobs = useLive({ path: pathOf(kindOf("jobs"), cronJob.metadata.namespace) }), own2 = T2(
      () => jobs.items.filter((job) => ownedBy(job, cronJob.metadata.uid)).sort((one, other) => Date.parse(other.metadata.creationTimestamp) - Date.parse(one.metadata.creationTimestamp)),
      [jobs.items, cronJob.metadata.uid]
    ), { spec, status = {} } = cronJob;
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Schedule", children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["Schedule", /* @__PURE__ */ u3("code", { children: spec.schedule })],
            ["Time zone", spec.timeZone ?? "the controller manager's"],
            ["Suspended", spec.suspend ? "yes" : "no"],
            ["Last run", /* @__PURE__ */ u3(Age, { of: status.lastScheduleTime })],
            ["Last success", /* @__PURE__ */ u3(Age, { of: status.lastSuccessfulTime })]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Jobs", children: /* @__PURE__ */ u3(ListState, { listing: jobs, children: [
        own2.length === 0 && /* @__PURE__ */ u3(Empty, { children: "None yet." }),
        /* @__PURE__ */ u3("ul", { class: "rows", children: own2.map((job) => /* @__PURE__ */ u3("li", { children: [
          /* @__PURE__ */ u3("a", { href: linkTo(kindOf("jobs"), job.metadata.namespace, job.metadata.name), children: job.metadata.name }),
          /* @__PURE__ */ u3(JobBadge, { job }),
          /* @__PURE__ */ u3(Age, { of: job.metadata.creationTimestamp })
        ] }, job.metadata.uid)) })
      ] }) })
    ] });
  }

  // src/logic/logs.ts
  var COLOURS = /\x1b\[[0-9;?]*[A-Za-z]/g, LogLines = class {
    lines = [];
    /** How many lines were dropped. */
    dropped = 0;
    rest = "";
    /** Takes a piece in. */
    add(text2) {
      let parts2 = (this.rest + text2).split(`
`);
      this.rest = parts2.pop() ?? "";
      for (let part of parts2) this.lines.push(clean(part));
      this.trim();
    }
    /** Nothing more comes: what is left is a line too. */
    end() {
      this.rest !== "" && this.lines.push(clean(this.rest)), this.rest = "", this.trim();
    }
    trim() {
      let over = this.lines.length - 2e4;
      over <= 0 || (this.lines.splice(0, over), this.dropped += over);
    }
  };
  function clean(line) {
    return line.replace(COLOURS, "").replace(/\r$/, "");
  }
  function parts(line, wanted) {
    if (wanted === "") return [line];
    let found = [], lower = line.toLowerCase(), target2 = wanted.toLowerCase(), from = 0;
    for (; ; ) {
      let at = lower.indexOf(target2, from);
      if (at < 0) break;
      found.push(line.slice(from, at), line.slice(at, at + target2.length)), from = at + target2.length;
    }
    return found.push(line.slice(from)), found;
  }
  function matching(lines, wanted) {
    if (wanted === "") return [];
    let target2 = wanted.toLowerCase();
    return lines.flatMap((line, index) => line.toLowerCase().includes(target2) ? [index] : []);
  }

  // src/parts/containerchoice.tsx
  var DEFAULT = "kubectl.kubernetes.io/default-container";
  function names(pod) {
    return [...pod.spec.containers, ...pod.spec.initContainers ?? []].map((container) => container.name);
  }
  function useContainer(pod, wanted) {
    let [chosen, choose] = d2(wanted), all = names(pod), first = pod.metadata.annotations?.[DEFAULT] ?? all[0] ?? "";
    return [chosen !== void 0 && all.includes(chosen) ? chosen : first, choose];
  }
  function ContainerChoice({ pod, current: current2, onChoose }) {
    return /* @__PURE__ */ u3("label", { class: "inline", children: [
      /* @__PURE__ */ u3("span", { children: "Container" }),
      /* @__PURE__ */ u3("select", { value: current2, onChange: (event) => onChoose(event.currentTarget.value), children: names(pod).map((name) => /* @__PURE__ */ u3("option", { value: name, children: name }, name)) })
    ] });
  }

  // src/views/logs.tsx
  var LINE = 20, TAIL = "2000";
  function useLog(pod, container, previous, timestamps) {
    let log = A2(new LogLines()), [version, redraw] = y2((count2) => count2 + 1, 0), [end, setEnd] = d2({ ended: !1 }), { name, namespace, uid: uid2 } = pod.metadata, runs = pod.status?.containerStatuses?.find((status) => status.name === container)?.restartCount ?? 0;
    return h2(() => {
      let stop = new AbortController(), lines = new LogLines();
      log.current = lines, setEnd({ ended: !1 }), redraw(0);
      let waiting = 0, query = {
        container,
        tailLines: TAIL,
        ...previous ? { previous: "true" } : { follow: "true" },
        ...timestamps ? { timestamps: "true" } : {}
      }, onText = (text2) => {
        lines.add(text2), waiting ||= requestAnimationFrame(() => {
          waiting = 0, redraw(0);
        });
      };
      return stream(pathOf(kindOf("pods"), namespace, name, "log"), query, stop.signal, onText).then(
        () => {
          lines.end(), setEnd({ ended: !0 }), redraw(0);
        },
        (error) => {
          stop.signal.aborted || setEnd({ ended: !0, error: wordsOf(error) });
        }
      ), () => {
        stop.abort(), cancelAnimationFrame(waiting);
      };
    }, [uid2, container, previous, timestamps, previous ? 0 : runs]), { lines: log.current, version, ...end };
  }
  function Logs({ pod, container: wanted }) {
    let [container, choose] = useContainer(pod, wanted), [previous, setPrevious] = d2(!1), [timestamps, setTimestamps] = d2(!1), [search2, setSearch] = d2(""), [only, setOnly] = d2(!1), [following, setFollowing] = d2(!0), [at, setAt] = d2(0), log = useLog(pod, container, previous, timestamps), hits = T2(() => matching(log.lines.lines, search2), [log.version, search2]), shown2 = T2(
      () => only && search2 !== "" ? hits.map((hit) => log.lines.lines[hit] ?? "") : log.lines.lines.slice(),
      [log.version, hits, only, search2]
    ), view = A2(null), [range, setRange] = d2([0, 60]), measure = () => {
      let element = view.current;
      if (element === null) return;
      let first = Math.max(0, Math.floor(element.scrollTop / LINE) - 10);
      setRange([first, first + Math.ceil(element.clientHeight / LINE) + 20]);
    };
    _2(() => {
      following && view.current !== null && (view.current.scrollTop = view.current.scrollHeight), measure();
    }, [shown2, following]);
    let goTo = (step2) => {
      if (hits.length === 0) return;
      let next = (at + step2 + hits.length) % hits.length;
      setAt(next), setFollowing(!1);
      let line = only ? next : hits[next] ?? 0;
      view.current?.scrollTo({ top: Math.max(0, line * LINE - (view.current.clientHeight ?? 0) / 2) });
    }, marked = only ? at : hits[at];
    return /* @__PURE__ */ u3("section", { class: "logs", children: [
      /* @__PURE__ */ u3("div", { class: "toolbar", children: [
        /* @__PURE__ */ u3(ContainerChoice, { pod, current: container, onChoose: choose }),
        /* @__PURE__ */ u3("label", { class: "check", children: [
          /* @__PURE__ */ u3("input", { type: "checkbox", checked: previous, onChange: (event) => setPrevious(event.currentTarget.checked) }),
          "Previous run"
        ] }),
        /* @__PURE__ */ u3("label", { class: "check", children: [
          /* @__PURE__ */ u3("input", { type: "checkbox", checked: timestamps, onChange: (event) => setTimestamps(event.currentTarget.checked) }),
          "Times"
        ] }),
        /* @__PURE__ */ u3("label", { class: "check", children: [
          /* @__PURE__ */ u3("input", { type: "checkbox", checked: following, onChange: (event) => setFollowing(event.currentTarget.checked) }),
          "Follow"
        ] }),
        /* @__PURE__ */ u3(
          "input",
          {
            type: "search",
            class: "filter",
            placeholder: "Search",
            "aria-label": "Search the log",
            value: search2,
            onInput: (event) => {
              setSearch(event.currentTarget.value), setAt(0);
            },
            onKeyDown: (event) => {
              event.key === "Enter" && goTo(event.shiftKey ? -1 : 1);
            }
          }
        ),
        search2 !== "" && /* @__PURE__ */ u3(S, { children: [
          /* @__PURE__ */ u3("span", { class: "amount", role: "status", children: hits.length === 0 ? "nothing found" : `${at + 1} of ${hits.length}` }),
          /* @__PURE__ */ u3("button", { type: "button", class: "icon", "aria-label": "Previous match", onClick: () => goTo(-1), children: "↑" }),
          /* @__PURE__ */ u3("button", { type: "button", class: "icon", "aria-label": "Next match", onClick: () => goTo(1), children: "↓" }),
          /* @__PURE__ */ u3("label", { class: "check", children: [
            /* @__PURE__ */ u3("input", { type: "checkbox", checked: only, onChange: (event) => setOnly(event.currentTarget.checked) }),
            "Only matches"
          ] })
        ] })
      ] }),
      log.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: log.error }),
      /* @__PURE__ */ u3(
        "div",
        {
          class: "log-lines",
          ref: view,
          tabIndex: 0,
          role: "log",
          "aria-live": "off",
          "aria-label": `Log of ${container}`,
          onScroll: () => {
            let element = view.current;
            if (element === null) return;
            let atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 2 * LINE;
            following && !atEnd && setFollowing(!1), measure();
          },
          children: /* @__PURE__ */ u3("div", { style: { height: `${shown2.length * LINE}px` }, children: shown2.slice(range[0], range[1]).map((line, index) => {
            let number = range[0] + index;
            return /* @__PURE__ */ u3(
              "div",
              {
                class: number === marked && search2 !== "" ? "log-line current" : "log-line",
                style: { transform: `translateY(${number * LINE}px)` },
                children: parts(line, search2).map((part, place2) => place2 % 2 === 1 ? /* @__PURE__ */ u3("mark", { children: part }, place2) : part)
              },
              number
            );
          }) })
        }
      ),
      /* @__PURE__ */ u3("p", { class: "note", children: [
        count(log.lines.lines.length, "line"),
        log.lines.dropped > 0 && `, ${log.lines.dropped} older ones dropped`,
        log.ended && log.error === void 0 && "; the log has ended"
      ] })
    ] });
  }

  // src/views/node.tsx
  function NodeDetails({ node }) {
    let { name } = node.metadata, pods = useLive({ path: pathOf(kindOf("pods")), fieldSelector: `spec.nodeName=${name}` }), metrics = useMetrics("nodes"), podMetrics = useMetrics("pods"), { status = {}, spec } = node, { allocatable = {}, nodeInfo = {} } = status, state = nodeState(node);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Node", children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["State", /* @__PURE__ */ u3(Badge, { tone: state.ready ? "good" : "bad", children: [...state.words, ...state.pressure].join(", ") })],
            ["Role", roles(node)],
            ["Addresses", /* @__PURE__ */ u3(Chips, { of: (status.addresses ?? []).map((address) => `${address.type} ${address.address}`) })],
            ["Pod addresses", spec.podCIDR],
            ["Taints", spec.taints === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: spec.taints.map((taint) => `${taint.key}${taint.value ? `=${taint.value}` : ""}:${taint.effect}`) })],
            ["Allocatable", `${allocatable.cpu ?? "?"} CPU, ${bytes(quantity(allocatable.memory) ?? 0)} memory, ${allocatable.pods ?? "?"} pods`],
            ["Kubelet", nodeInfo.kubeletVersion],
            ["Runtime", nodeInfo.containerRuntimeVersion],
            ["Kernel", nodeInfo.kernelVersion],
            ["System", nodeInfo.osImage]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Usage", children: metrics.error !== void 0 ? /* @__PURE__ */ u3("p", { class: "note", children: [
        metrics.absent ? "The cluster has no metrics server. " : "",
        metrics.error
      ] }) : /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3(Chart, { title: "CPU", samples: metrics.of(name), value: (sample) => sample.cpu, format: cpu, limit: quantity(allocatable.cpu) }),
        /* @__PURE__ */ u3(Chart, { title: "Memory", samples: metrics.of(name), value: (sample) => sample.memory, format: bytes, limit: quantity(allocatable.memory) })
      ] }) }),
      /* @__PURE__ */ u3(Panel, { title: "Pods", wide: !0, children: /* @__PURE__ */ u3(ListState, { listing: pods, children: /* @__PURE__ */ u3(PodTable, { label: `Pods on ${name}`, pods: pods.items, metrics: podMetrics, withoutNode: !0 }) }) })
    ] });
  }

  // src/views/pod.tsx
  function PodDetails({ pod }) {
    let { spec, status = {}, metadata } = pod, state = podState(pod), metrics = useMetrics("pods", metadata.namespace), samples = metrics.of(`${metadata.namespace}/${metadata.name}`);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Pod", children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["State", /* @__PURE__ */ u3(PodBadge, { pod })],
            ["Message", status.message],
            ["Ready", `${state.ready} of ${state.containers} containers`],
            ["Restarts", String(state.restarts)],
            ["Node", spec.nodeName === void 0 ? "none yet" : /* @__PURE__ */ u3("a", { href: linkTo(kindOf("nodes"), void 0, spec.nodeName), children: spec.nodeName })],
            ["Address", status.podIP],
            ["Service account", spec.serviceAccountName],
            ["Quality of service", status.qosClass],
            ["Volumes", /* @__PURE__ */ u3(Chips, { of: (spec.volumes ?? []).map(volumeWords) })]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Containers", wide: !0, children: /* @__PURE__ */ u3("div", { class: "containers", children: [
        (spec.initContainers ?? []).map((container) => /* @__PURE__ */ u3(ContainerCard, { pod, container, init: !0, statuses: status.initContainerStatuses }, container.name)),
        spec.containers.map((container) => /* @__PURE__ */ u3(ContainerCard, { pod, container, statuses: status.containerStatuses }, container.name))
      ] }) }),
      /* @__PURE__ */ u3(Panel, { title: "Usage", children: metrics.error !== void 0 ? /* @__PURE__ */ u3("p", { class: "note", children: [
        metrics.absent ? "The cluster has no metrics server. " : "",
        metrics.error
      ] }) : /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3(Chart, { title: "CPU", samples, value: (sample) => sample.cpu, format: cpu }),
        /* @__PURE__ */ u3(Chart, { title: "Memory", samples, value: (sample) => sample.memory, format: bytes })
      ] }) })
    ] });
  }
  function volumeWords(volume) {
    let source = Object.keys(volume).find((key) => key !== "name") ?? "";
    return `${volume.name} (${source})`;
  }
  function stateWords(state) {
    if (state?.running) return { words: "running", tone: "good", since: state.running.startedAt };
    if (state?.terminated) {
      let { reason: reason2, exitCode, finishedAt, message } = state.terminated;
      return { words: `${reason2 ?? "ended"} (exit code ${exitCode})`, tone: exitCode === 0 ? "quiet" : "bad", since: finishedAt, message };
    }
    let reason = state?.waiting?.reason ?? "waiting";
    return { words: reason, tone: reason === "ContainerCreating" || reason === "PodInitializing" || reason === "waiting" ? "busy" : "bad", message: state?.waiting?.message };
  }
  function ContainerCard({ pod, container, statuses = [], init = !1 }) {
    let status = statuses.find((each) => each.name === container.name), now = stateWords(status?.state), before = status?.lastState?.terminated === void 0 ? void 0 : stateWords(status.lastState), link3 = (tab) => `${linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name, tab)}&container=${encodeURIComponent(container.name)}`;
    return /* @__PURE__ */ u3("article", { class: "container", children: [
      /* @__PURE__ */ u3("header", { children: [
        /* @__PURE__ */ u3("h3", { children: container.name }),
        init && /* @__PURE__ */ u3("small", { children: container.restartPolicy === "Always" ? "sidecar" : "init" }),
        /* @__PURE__ */ u3(Badge, { tone: now.tone, children: now.words }),
        status !== void 0 && !init && /* @__PURE__ */ u3("small", { children: status.ready ? "ready" : "not ready" })
      ] }),
      now.message !== void 0 && /* @__PURE__ */ u3("p", { class: "note", children: now.message }),
      /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["Image", /* @__PURE__ */ u3("code", { children: container.image })],
            ["Since", now.since === void 0 ? void 0 : /* @__PURE__ */ u3(Age, { of: now.since })],
            ["Restarts", status === void 0 ? void 0 : String(status.restartCount)],
            ["Before", before?.words],
            ["Command", container.command === void 0 ? void 0 : /* @__PURE__ */ u3("code", { children: [...container.command, ...container.args ?? []].join(" ") })],
            ["Ports", container.ports === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: container.ports.map((port) => `${port.containerPort}/${port.protocol ?? "TCP"}`) })],
            ["Requests", container.resources?.requests === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: Object.entries(container.resources.requests).map(([key, value]) => `${key} ${value}`) })],
            ["Limits", container.resources?.limits === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: Object.entries(container.resources.limits).map(([key, value]) => `${key} ${value}`) })]
          ]
        }
      ),
      /* @__PURE__ */ u3("p", { class: "links", children: [
        /* @__PURE__ */ u3("a", { href: link3("logs"), children: "Logs" }),
        status?.state?.running !== void 0 && /* @__PURE__ */ u3("a", { href: link3("terminal"), children: "Terminal" })
      ] })
    ] });
  }

  // src/logic/forwarding.ts
  function endpointsOf(service, slices) {
    let found = /* @__PURE__ */ new Map();
    for (let slice of slices) {
      if (slice.metadata.namespace !== service.metadata.namespace || slice.metadata.labels?.["kubernetes.io/service-name"] !== service.metadata.name) continue;
      let ports = (slice.ports ?? []).map((port) => `${port.port ?? "any"}/${port.protocol ?? "TCP"}`).join(", ");
      for (let endpoint of slice.endpoints ?? [])
        for (let address of endpoint.addresses)
          found.set(address, {
            address,
            ports,
            ready: endpoint.conditions?.ready ?? !0,
            ending: endpoint.conditions?.terminating ?? !1,
            node: endpoint.nodeName ?? "",
            pod: endpoint.targetRef?.kind === "Pod" ? endpoint.targetRef.name ?? "" : ""
          });
    }
    return [...found.values()].sort((one, other) => one.address.localeCompare(other.address));
  }
  function forwarding(service, endpoints, nodes) {
    let ready = endpoints.filter((endpoint) => endpoint.ready), usable = ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.ending), takes = service.spec.type === "NodePort" || service.spec.type === "LoadBalancer" || hasExternalIPs(service);
    return nodes.map((node) => {
      let name = node.metadata.name, here = usable.filter((endpoint) => endpoint.node === name);
      return {
        node: name,
        inside: service.spec.internalTrafficPolicy === "Local" ? here : usable,
        outside: takes ? service.spec.externalTrafficPolicy === "Local" ? here : usable : void 0
      };
    }).sort((one, other) => one.node.localeCompare(other.node));
  }
  function hasExternalIPs(service) {
    return (service.spec.externalIPs ?? []).length > 0;
  }

  // src/views/service.tsx
  function ServiceDetails({ service }) {
    let { spec, metadata, status } = service, slices = useLive({
      path: pathOf(kindOf("endpointslices"), metadata.namespace),
      labelSelector: `kubernetes.io/service-name=${metadata.name}`
    }), nodes = useLive({ path: "/api/v1/nodes" }), endpoints = T2(() => endpointsOf(service, slices.items), [service, slices.items]), ways = T2(() => forwarding(service, endpoints, nodes.items), [service, endpoints, nodes.items]), external = (status?.loadBalancer?.ingress ?? []).map((ingress) => ingress.ip ?? ingress.hostname ?? ""), headless = spec.clusterIP === "None";
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Panel, { title: "Service", children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["Type", spec.type ?? "ClusterIP"],
            ["Cluster address", headless ? "none: names lead to the pods themselves" : spec.clusterIP],
            ["External", external.length > 0 ? /* @__PURE__ */ u3(Chips, { of: external }) : spec.externalName],
            ["Ports", /* @__PURE__ */ u3(Chips, { of: (spec.ports ?? []).map((port) => `${port.name ? `${port.name} ` : ""}${port.port} → ${port.targetPort ?? port.port}${port.nodePort ? `, node port ${port.nodePort}` : ""} ${port.protocol ?? "TCP"}`) })],
            ["Selector", spec.selector === void 0 ? "none: somebody else keeps its endpoints" : /* @__PURE__ */ u3(Chips, { of: pairs(spec.selector) })],
            ["From inside", spec.internalTrafficPolicy],
            ["From outside", spec.externalTrafficPolicy]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Endpoints", children: /* @__PURE__ */ u3(ListState, { listing: slices, children: [
        endpoints.length === 0 && /* @__PURE__ */ u3(Empty, { children: "None: nothing answers for this Service." }),
        /* @__PURE__ */ u3("ul", { class: "rows", children: endpoints.map((endpoint) => /* @__PURE__ */ u3("li", { children: [
          /* @__PURE__ */ u3(Badge, { tone: endpoint.ready ? "good" : endpoint.ending ? "quiet" : "busy", children: endpoint.ready ? "ready" : endpoint.ending ? "ending" : "not ready" }),
          /* @__PURE__ */ u3("code", { children: endpoint.address }),
          /* @__PURE__ */ u3("small", { children: endpoint.ports }),
          /* @__PURE__ */ u3(EndpointLink, { of: endpoint, namespace: metadata.namespace }),
          /* @__PURE__ */ u3("small", { children: endpoint.node })
        ] }, endpoint.address)) })
      ] }) }),
      !headless && spec.type !== "ExternalName" && /* @__PURE__ */ u3(Panel, { title: "Which node forwards where", wide: !0, children: /* @__PURE__ */ u3(ListState, { listing: nodes, children: /* @__PURE__ */ u3("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Forwarding", children: /* @__PURE__ */ u3("table", { class: "plain", children: [
        /* @__PURE__ */ u3("thead", { children: /* @__PURE__ */ u3("tr", { children: [
          /* @__PURE__ */ u3("th", { scope: "col", children: "A connection on" }),
          /* @__PURE__ */ u3("th", { scope: "col", children: "from a pod goes to" }),
          /* @__PURE__ */ u3("th", { scope: "col", children: "from outside goes to" })
        ] }) }),
        /* @__PURE__ */ u3("tbody", { children: ways.map((way) => /* @__PURE__ */ u3("tr", { children: [
          /* @__PURE__ */ u3("th", { scope: "row", children: way.node }),
          /* @__PURE__ */ u3("td", { children: /* @__PURE__ */ u3(Targets, { of: way.inside, from: way.node }) }),
          /* @__PURE__ */ u3("td", { children: way.outside === void 0 ? /* @__PURE__ */ u3("span", { class: "quiet", children: "not taken" }) : /* @__PURE__ */ u3(Targets, { of: way.outside, from: way.node }) })
        ] }, way.node)) })
      ] }) }) }) })
    ] });
  }
  function EndpointLink({ of, namespace }) {
    return of.pod === "" ? null : /* @__PURE__ */ u3("a", { href: linkTo(kindOf("pods"), namespace, of.pod), children: of.pod });
  }
  function Targets({ of, from }) {
    return of.length === 0 ? /* @__PURE__ */ u3("span", { class: "quiet", children: "nowhere: it is refused" }) : /* @__PURE__ */ u3("span", { class: "chips", children: [
      of.slice(0, 20).map((endpoint) => /* @__PURE__ */ u3("span", { class: endpoint.node === from ? "chip near" : "chip", children: [
        endpoint.pod || endpoint.address,
        /* @__PURE__ */ u3("small", { children: endpoint.node === from ? " here" : endpoint.node === "" ? "" : ` on ${endpoint.node}` })
      ] }, endpoint.address)),
      of.length > 20 && /* @__PURE__ */ u3("span", { class: "chip", children: `and ${of.length - 20} more` })
    ] });
  }

  // src/logic/screen.ts
  var PLAIN = {};
  var Screen = class {
    constructor(columns, rows) {
      this.columns = columns;
      this.rows = rows;
      this.lines = blank(rows), this.bottom = rows - 1;
    }
    /** Lines that have left at the top, the oldest first. */
    past = [];
    lines;
    row = 0;
    column = 0;
    cursorVisible = !0;
    /** Whether cursor keys are to be sent as `ESC O A`. */
    applicationKeys = !1;
    /** What the terminal answers to a program's questions. */
    answer = "";
    style = PLAIN;
    top = 0;
    bottom;
    saved = { row: 0, column: 0 };
    main;
    wrapNext = !1;
    pending = "";
    resize(columns, rows) {
      for (; this.lines.length < rows; ) this.lines.push([]);
      for (; this.lines.length > rows; )
        this.row < this.lines.length - 1 && (this.lines.at(-1)?.length ?? 0) === 0 ? this.lines.pop() : (this.past.push(this.lines.shift() ?? []), this.row = Math.max(0, this.row - 1));
      this.columns = columns, this.rows = rows, this.top = 0, this.bottom = rows - 1, this.row = Math.min(this.row, rows - 1), this.column = Math.min(this.column, columns - 1), this.wrapNext = !1;
    }
    write(text2) {
      let input = this.pending + text2;
      this.pending = "";
      let at = 0;
      for (; at < input.length; ) {
        let character = input[at] ?? "";
        if (character === "\x1B") {
          let length = this.escape(input.slice(at, at + 4096));
          if (length === 0) {
            this.pending = input.slice(at);
            return;
          }
          at += length;
        } else if (character < " " || character === "")
          this.control(character), at += 1;
        else {
          let point = String.fromCodePoint(input.codePointAt(at) ?? 32);
          this.put(point), at += point.length;
        }
      }
    }
    put(character) {
      this.wrapNext && (this.column = 0, this.lineFeed(), this.wrapNext = !1);
      let line = this.line();
      for (; line.length < this.column; ) line.push({ text: " ", style: PLAIN });
      line[this.column] = { text: character, style: this.style }, this.column === this.columns - 1 ? this.wrapNext = !0 : this.column += 1;
    }
    line() {
      return this.lines[this.row] ??= [];
    }
    control(character) {
      switch (this.wrapNext = !1, character) {
        case "\r":
          this.column = 0;
          break;
        case `
`:
        case "\v":
        case "\f":
          this.lineFeed();
          break;
        case "\b":
          this.column = Math.max(0, this.column - 1);
          break;
        case "	":
          this.column = Math.min(this.columns - 1, (Math.floor(this.column / 8) + 1) * 8);
          break;
      }
    }
    lineFeed() {
      this.row === this.bottom ? this.scrollUp(1) : this.row = Math.min(this.rows - 1, this.row + 1);
    }
    scrollUp(count2) {
      for (let index = Math.min(count2, this.rows); index > 0; index -= 1) {
        let [gone = []] = this.lines.splice(this.top, 1);
        this.lines.splice(this.bottom, 0, []), this.top === 0 && this.main === void 0 && this.past.push(gone);
      }
      this.past.length > 2e3 && this.past.splice(0, this.past.length - 2e3);
    }
    scrollDown(count2) {
      for (let index = Math.min(count2, this.rows); index > 0; index -= 1)
        this.lines.splice(this.bottom, 1), this.lines.splice(this.top, 0, []);
    }
    /** Handles one escape sequence; says how long it is, 0 if it has not come whole. */
    escape(input) {
      if (input.length < 2) return 0;
      let kind = input[1];
      if (kind === "[") return this.controlSequence(input);
      if (kind === "]" || kind === "P" || kind === "^" || kind === "_") {
        let end = /\x07|\x1b\\/.exec(input.slice(2));
        return end === null ? input.length >= 4096 ? 2 : 0 : 2 + end.index + end[0].length;
      }
      return kind === "(" || kind === ")" || kind === "#" || kind === "%" ? input.length < 3 ? 0 : 3 : (this.wrapNext = !1, kind === "7" ? this.saved = { row: this.row, column: this.column } : kind === "8" ? { row: this.row, column: this.column } = this.saved : kind === "D" ? this.lineFeed() : kind === "E" ? (this.column = 0, this.lineFeed()) : kind === "M" ? this.row === this.top ? this.scrollDown(1) : this.row = Math.max(0, this.row - 1) : kind === "c" && this.reset(), 2);
    }
    reset() {
      this.lines = blank(this.rows), this.style = PLAIN, [this.row, this.column, this.top, this.bottom] = [0, 0, 0, this.rows - 1], this.main = void 0;
    }
    controlSequence(input) {
      let match = /^\x1b\[([?>=!]?)([\d;:]*)[ -/]*([@-~])/.exec(input);
      if (match === null) return /^\x1b\[[?>=!]?[\d;:]*[ -/]*$/.test(input) && input.length < 64 ? 0 : 2;
      let [whole, mark, list = "", final = ""] = match, values = list.split(/[;:]/).map((text2) => text2 === "" ? 0 : Number(text2));
      return mark === "?" ? this.mode(values, final) : mark === "" && this.command(final, values), whole.length;
    }
    mode(values, final) {
      let on = final === "h";
      if (!(!on && final !== "l"))
        for (let value of values)
          value === 1 ? this.applicationKeys = on : value === 25 ? this.cursorVisible = on : (value === 1049 || value === 47 || value === 1047) && this.alternate(on);
    }
    alternate(on) {
      on && this.main === void 0 ? (this.main = { lines: this.lines, row: this.row, column: this.column }, this.lines = blank(this.rows)) : !on && this.main !== void 0 && ({ lines: this.lines, row: this.row, column: this.column } = this.main, this.main = void 0, this.resize(this.columns, this.rows)), [this.top, this.bottom] = [0, this.rows - 1];
    }
    command(final, values) {
      this.wrapNext = !1;
      let first = values[0] ?? 0, count2 = Math.max(1, first), row2 = (to) => this.row = Math.min(this.rows - 1, Math.max(0, to)), column = (to) => this.column = Math.min(this.columns - 1, Math.max(0, to));
      switch (final) {
        case "A":
          row2(this.row - count2);
          break;
        case "B":
        case "e":
          row2(this.row + count2);
          break;
        case "C":
        case "a":
          column(this.column + count2);
          break;
        case "D":
          column(this.column - count2);
          break;
        case "E":
          row2(this.row + count2), column(0);
          break;
        case "F":
          row2(this.row - count2), column(0);
          break;
        case "G":
        case "`":
          column(count2 - 1);
          break;
        case "d":
          row2(count2 - 1);
          break;
        case "H":
        case "f":
          row2(count2 - 1), column(Math.max(1, values[1] ?? 1) - 1);
          break;
        case "J":
          this.eraseScreen(first);
          break;
        case "K":
          this.eraseLine(first);
          break;
        case "L":
          this.within(() => this.scrollDown(count2));
          break;
        case "M":
          this.within(() => this.scrollUp(count2));
          break;
        case "S":
          this.scrollUp(count2);
          break;
        case "T":
          this.scrollDown(count2);
          break;
        case "P":
          this.line().splice(this.column, count2);
          break;
        case "@":
          this.line().splice(this.column, 0, ...spaces(Math.min(count2, this.columns))), this.line().splice(this.columns);
          break;
        case "X":
          this.blankOut(this.column, Math.min(this.columns, this.column + count2));
          break;
        case "m":
          this.style = styled(this.style, values);
          break;
        case "r":
          this.top = Math.max(0, count2 - 1), this.bottom = Math.min(this.rows, values[1] || this.rows) - 1, this.top >= this.bottom && ([this.top, this.bottom] = [0, this.rows - 1]), [this.row, this.column] = [0, 0];
          break;
        case "s":
          this.saved = { row: this.row, column: this.column };
          break;
        case "u":
          ({ row: this.row, column: this.column } = this.saved);
          break;
        case "n":
          first === 6 && (this.answer += `\x1B[${this.row + 1};${this.column + 1}R`), first === 5 && (this.answer += "\x1B[0n");
          break;
        case "c":
          this.answer += "\x1B[?1;2c";
          break;
      }
    }
    /** Inserting and deleting lines scrolls from the cursor's line on. */
    within(scroll) {
      let top = this.top, kept = this.past.length;
      this.top = this.row, scroll(), this.top = top, this.past.splice(kept);
    }
    eraseScreen(how) {
      if (how === 0) {
        this.eraseLine(0);
        for (let row2 = this.row + 1; row2 < this.rows; row2 += 1) this.lines[row2] = [];
      } else if (how === 1) {
        this.eraseLine(1);
        for (let row2 = 0; row2 < this.row; row2 += 1) this.lines[row2] = [];
      } else
        this.lines = blank(this.rows), how === 3 && (this.past.length = 0);
    }
    eraseLine(how) {
      how === 0 ? this.blankOut(this.column, this.columns) : how === 1 ? this.blankOut(0, this.column + 1) : this.blankOut(0, this.columns);
    }
    blankOut(from, to) {
      let line = this.line(), style = this.style.background === void 0 ? PLAIN : { background: this.style.background };
      if (to >= line.length && style === PLAIN) line.splice(from);
      else {
        for (let column = line.length; column < from; column += 1) line[column] = { text: " ", style: PLAIN };
        for (let column = from; column < to; column += 1) line[column] = { text: " ", style };
      }
    }
    /** Everything that can be read, the past first. */
    text() {
      return [...this.past, ...this.lines].map((line) => Array.from(line, (cell) => cell?.text ?? " ").join("")).join(`
`).trimEnd();
    }
  };
  function blank(rows) {
    return Array.from({ length: rows }, () => []);
  }
  function spaces(count2) {
    return Array.from({ length: count2 }, () => ({ text: " ", style: PLAIN }));
  }
  function styled(before, values) {
    let style = { ...before };
    for (let index = 0; index < values.length; index += 1) {
      let value = values[index] ?? 0;
      if (value === 0) style = {};
      else if (value === 1) style.bold = !0;
      else if (value === 4) style.underline = !0;
      else if (value === 7) style.inverse = !0;
      else if (value === 22) style.bold = !1;
      else if (value === 24) style.underline = !1;
      else if (value === 27) style.inverse = !1;
      else if (value >= 30 && value <= 37) style.foreground = value - 30;
      else if (value === 39) style.foreground = void 0;
      else if (value >= 40 && value <= 47) style.background = value - 40;
      else if (value === 49) style.background = void 0;
      else if (value >= 90 && value <= 97) style.foreground = value - 82;
      else if (value >= 100 && value <= 107) style.background = value - 92;
      else if (value === 38 || value === 48) {
        let colour = values[index + 1] === 5 ? values[index + 2] : void 0;
        value === 38 ? style.foreground = colour : style.background = colour, index += values[index + 1] === 2 ? 4 : 2;
      }
    }
    return style;
  }
  function keySequence(key, applicationKeys) {
    if (key.metaKey) return;
    let arrow = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" }[key.key];
    if (arrow !== void 0) return (applicationKeys ? "\x1BO" : "\x1B[") + arrow;
    let name = {
      Enter: "\r",
      Backspace: "",
      Tab: "	",
      Escape: "\x1B",
      Delete: "\x1B[3~",
      Insert: "\x1B[2~",
      PageUp: "\x1B[5~",
      PageDown: "\x1B[6~"
    }[key.key];
    if (name !== void 0) return name;
    if (key.key.length === 1) {
      if (key.ctrlKey) {
        let code = key.key.toUpperCase().charCodeAt(0);
        return code >= 64 && code < 96 ? String.fromCharCode(code - 64) : void 0;
      }
      return (key.altKey ? "\x1B" : "") + key.key;
    }
  }

  // src/logic/streams.ts
  var PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
  function frame(channel, data) {
    let message = new Uint8Array(data.length + 1);
    return message[0] = channel, message.set(data, 1), message;
  }
  function resizeFrame(columns, rows) {
    return frame(4 /* Resize */, new TextEncoder().encode(JSON.stringify({ Width: columns, Height: rows })));
  }
  function ending(status) {
    try {
      let { status: outcome, message } = JSON.parse(status);
      return outcome === "Success" ? "The command has ended." : message ?? "The command has failed.";
    } catch {
      return status;
    }
  }

  // src/views/terminal.tsx
  var SHELL = "command -v bash >/dev/null && exec bash || exec sh";
  function Terminal({ pod, container: wanted }) {
    let [container, choose] = useContainer(pod, wanted), [attempt, setAttempt] = d2(0), { name, namespace } = pod.metadata, allowed = useMay([permission("create", kindOf("pods"), namespace, name, "exec")]);
    return allowed === !1 ? /* @__PURE__ */ u3(Failure, { children: `You may not create pods/exec in ${namespace}.` }) : /* @__PURE__ */ u3("section", { class: "terminal", children: [
      /* @__PURE__ */ u3("div", { class: "toolbar", children: [
        /* @__PURE__ */ u3(ContainerChoice, { pod, current: container, onChoose: choose }),
        /* @__PURE__ */ u3("button", { type: "button", onClick: () => setAttempt((before) => before + 1), children: "Start anew" }),
        /* @__PURE__ */ u3("span", { class: "note", children: "Ctrl+Shift+Escape leaves the terminal" })
      ] }),
      allowed && /* @__PURE__ */ u3(Shell, { pod, container }, `${container}/${attempt}`)
    ] });
  }
  function Shell({ pod, container }) {
    let screen = A2(new Screen(80, 24)).current, socket2 = A2(), element = A2(null), [, redraw] = y2((count2) => count2 + 1, 0), [state, setState] = d2("Connecting…"), { name, namespace } = pod.metadata, send3 = (message) => {
      socket2.current?.readyState === WebSocket.OPEN && socket2.current.send(message);
    }, type2 = (text2) => send3(frame(0 /* Stdin */, new TextEncoder().encode(text2)));
    h2(() => {
      let query = new URLSearchParams({ container, stdin: "true", stdout: "true", tty: "true" });
      for (let word of ["sh", "-c", SHELL]) query.append("command", word);
      let opened = new WebSocket(socketUrl(`k8s${pathOf(kindOf("pods"), namespace, name, "exec")}?${query}`), PROTOCOLS);
      opened.binaryType = "arraybuffer", socket2.current = opened;
      let decoder = new TextDecoder(), waiting = 0, over = !1;
      return opened.onopen = () => {
        setState(""), send3(resizeFrame(screen.columns, screen.rows)), element.current?.focus();
      }, opened.onmessage = ({ data }) => {
        let bytes2 = new Uint8Array(data);
        if (bytes2[0] === 3 /* Error */) {
          over = !0, setState(ending(new TextDecoder().decode(bytes2.subarray(1))));
          return;
        }
        screen.write(decoder.decode(bytes2.subarray(1), { stream: !0 })), screen.answer !== "" && type2(screen.answer), screen.answer = "", waiting ||= requestAnimationFrame(() => {
          waiting = 0, redraw(0);
        });
      }, opened.onclose = (event) => {
        over || setState(event.reason || "The connection has ended.");
      }, () => {
        cancelAnimationFrame(waiting), opened.onclose = null, opened.close();
      };
    }, []), _2(() => {
      let area = element.current;
      if (area === null) return;
      let fit = () => {
        let probe = area.querySelector(".probe")?.getBoundingClientRect();
        if (probe === void 0 || probe.width === 0) return;
        let columns = Math.max(20, Math.floor((area.clientWidth - 16) / (probe.width / 10))), rows = Math.max(6, Math.floor((area.clientHeight - 16) / probe.height));
        columns === screen.columns && rows === screen.rows || (screen.resize(columns, rows), send3(resizeFrame(columns, rows)), redraw(0));
      }, sizes = new ResizeObserver(fit);
      return sizes.observe(area), () => sizes.disconnect();
    }, []), _2(() => {
      element.current !== null && (element.current.scrollTop = element.current.scrollHeight);
    });
    let onKeyDown = (event) => {
      if (event.ctrlKey && event.shiftKey) {
        event.key === "Escape" && document.querySelector("h1")?.focus();
        return;
      }
      let text2 = keySequence(event, screen.applicationKeys);
      text2 !== void 0 && (event.preventDefault(), event.stopPropagation(), type2(text2));
    };
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3("p", { class: "note", role: "status", children: state }),
      /* @__PURE__ */ u3(
        "div",
        {
          class: "screen",
          ref: element,
          tabIndex: 0,
          role: "textbox",
          "aria-multiline": "true",
          "aria-label": `Terminal in ${container}`,
          onKeyDown,
          onPaste: (event) => {
            event.preventDefault(), type2((event.clipboardData?.getData("text") ?? "").replace(/\n/g, "\r"));
          },
          children: [
            /* @__PURE__ */ u3("span", { class: "probe", "aria-hidden": "true", children: "MMMMMMMMMM" }),
            screen.past.slice(-500).map((line, index) => /* @__PURE__ */ u3(Line, { cells: line }, `past ${screen.past.length - Math.min(500, screen.past.length) + index}`)),
            screen.lines.map((line, index) => /* @__PURE__ */ u3(Line, { cells: line, cursor: screen.cursorVisible && index === screen.row ? screen.column : void 0 }, index))
          ]
        }
      )
    ] });
  }
  function Line({ cells, cursor }) {
    let runs = [], length = Math.max(cells.length, (cursor ?? -1) + 1);
    for (let column = 0; column < length; column += 1) {
      let cell = cells[column] ?? { text: " ", style: {} }, last2 = runs.at(-1), here = column === cursor;
      last2 !== void 0 && !here && !last2.cursor && last2.style === cell.style ? last2.text += cell.text : runs.push({ text: cell.text, style: cell.style, cursor: here });
    }
    return /* @__PURE__ */ u3("div", { class: "screen-line", children: runs.length === 0 ? " " : runs.map((run, index) => /* @__PURE__ */ u3("span", { class: classOf(run.style, run.cursor), children: run.text }, index)) });
  }
  function classOf(style, cursor) {
    let names2 = [
      cursor && "cursor",
      style.bold && "bold",
      style.underline && "underline",
      style.inverse && "inverse",
      style.foreground !== void 0 && style.foreground < 16 && `ink-${style.foreground}`,
      style.background !== void 0 && style.background < 16 && `ground-${style.background}`
    ].filter((name) => name !== !1 && name !== void 0);
    return names2.length > 0 ? names2.join(" ") : void 0;
  }

  // src/parts/rollout.tsx
  var timelines = /* @__PURE__ */ new Map();
  function useRevisions(workload) {
    let { namespace } = workload.metadata, byHash = workload.kind !== "Deployment", pods = useLive({ path: pathOf(kindOf("pods"), namespace) }), sets = useLive(byHash ? null : { path: pathOf(kindOf("replicasets"), namespace) }), history = useLive(
      byHash && workload.kind !== "ReplicaSet" ? { path: pathOf(kindOf("controllerrevisions"), namespace) } : null
    );
    return T2(
      () => revisions(workload, sets.items, pods.items, history.items),
      [workload, sets.items, pods.items, history.items]
    );
  }
  function Rollout({ workload }) {
    let list = useRevisions(workload), [samples, setSamples] = d2(timelines.get(workload.metadata.uid) ?? []);
    h2(() => {
      if (list.length === 0) return;
      let recorded = record(timelines.get(workload.metadata.uid) ?? [], Date.now(), list);
      timelines.set(workload.metadata.uid, recorded), setSamples(recorded);
    }, [list, workload.metadata.uid]);
    let oldest = [...list].reverse();
    return /* @__PURE__ */ u3(Panel, { title: "Rollout", wide: !0, children: [
      list.length === 0 && /* @__PURE__ */ u3(Empty, { children: "No pods yet." }),
      /* @__PURE__ */ u3("div", { class: "revisions", children: list.map((revision, index) => /* @__PURE__ */ u3(RevisionRow, { of: revision, shade: Math.min(index, 4) }, revision.name)) }),
      /* @__PURE__ */ u3(Timeline, { samples, order: oldest.map((revision) => revision.name) })
    ] });
  }
  function RevisionRow({ of, shade }) {
    let amounts = of.desired === void 0 ? `${of.ready} of ${of.pods.length} ready` : `${of.ready} ready, ${of.desired} desired`;
    return /* @__PURE__ */ u3("div", { class: of.current ? "revision current" : "revision", children: [
      /* @__PURE__ */ u3("span", { class: "revision-name", children: [
        /* @__PURE__ */ u3("i", { class: `shade shade-${shade}`, "aria-hidden": "true" }),
        /* @__PURE__ */ u3("b", { children: of.number > 0 ? `Revision ${of.number}` : of.name }),
        /* @__PURE__ */ u3("small", { children: of.current ? "newest" : "old" })
      ] }),
      /* @__PURE__ */ u3("span", { class: "revision-amounts", children: amounts }),
      /* @__PURE__ */ u3("ul", { class: "pod-links", "aria-label": `${count(of.pods.length, "pod")} of ${of.name}`, children: [...of.pods].sort((one, other) => one.metadata.name < other.metadata.name ? -1 : 1).slice(0, 200).map((pod) => {
        let { word, look } = podState(pod);
        return /* @__PURE__ */ u3("li", { children: /* @__PURE__ */ u3(
          "a",
          {
            class: `square ${look}`,
            href: linkTo(kindOf("pods"), pod.metadata.namespace, pod.metadata.name),
            title: `${pod.metadata.name}: ${word}`,
            "aria-label": `${pod.metadata.name}: ${word}`
          }
        ) }, pod.metadata.uid);
      }) })
    ] });
  }
  var WIDTH2 = 640, HEIGHT2 = 96;
  function Timeline({ samples, order }) {
    let now = useNow();
    if (samples.length === 0) return null;
    let length = Math.min(KEEP2, Math.max(3e4, now - (samples[0]?.at ?? now))), from = now - length, layers = stack(samples, order, now), top = Math.max(1, ...layers.flatMap((layer) => layer.edges.map(([, , upper]) => upper))), x3 = (at) => Math.max(0, (at - from) / length * WIDTH2), y3 = (value) => HEIGHT2 - value / top * (HEIGHT2 - 4), words = samples.slice(-4).map((sample) => `${clock(sample.at)}: ${order.map((name) => `${name} ${sample.ready[name] ?? 0}`).join(", ")}`);
    return /* @__PURE__ */ u3("figure", { class: "timeline", children: [
      /* @__PURE__ */ u3("figcaption", { children: "Ready pods over time" }),
      /* @__PURE__ */ u3("svg", { viewBox: `0 0 ${WIDTH2} ${HEIGHT2}`, preserveAspectRatio: "none", role: "img", "aria-label": `Ready pods of each revision. ${words.join("; ")}`, children: layers.map(({ name, edges }, index) => /* @__PURE__ */ u3("path", { class: `shade-${Math.min(order.length - 1 - index, 4)}`, d: steps(edges, x3, y3) }, name)) }),
      /* @__PURE__ */ u3("div", { class: "axis", children: [
        /* @__PURE__ */ u3("span", { children: clock(from) }),
        /* @__PURE__ */ u3("span", { children: `at most ${count(top, "pod")}` }),
        /* @__PURE__ */ u3("span", { children: clock(now) })
      ] })
    ] });
  }
  function steps(edges, x3, y3) {
    let upper = [], lower = [];
    for (let [index, [at, below, above]] of edges.entries()) {
      let until = edges[index + 1]?.[0] ?? at;
      upper.push(`${x3(at).toFixed(1)},${y3(above).toFixed(1)}`, `${x3(until).toFixed(1)},${y3(above).toFixed(1)}`), lower.unshift(`${x3(until).toFixed(1)},${y3(below).toFixed(1)}`, `${x3(at).toFixed(1)},${y3(below).toFixed(1)}`);
    }
    return `M${upper.join("L")}L${lower.join("L")}Z`;
  }

  // src/views/workloads.tsx
  var TABS2 = [
    ["deployments", "Deployments"],
    ["statefulsets", "StatefulSets"],
    ["daemonsets", "DaemonSets"],
    ["replicasets", "ReplicaSets"],
    ["jobs", "Jobs"],
    ["cronjobs", "CronJobs"]
  ], ROLLED = /* @__PURE__ */ new Set(["deployments", "statefulsets", "daemonsets", "replicasets"]);
  function Workloads({ route }) {
    let plural = route.parts[0] ?? "deployments";
    return TABS2.some(([tab]) => tab === plural) ? /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Workloads", children: /* @__PURE__ */ u3("a", { class: "button", href: `#/create?kind=${kindOf(plural).kind}`, children: "Create…" }) }),
      /* @__PURE__ */ u3(Tabs, { label: "Workloads", current: plural, of: TABS2.map(([id, text2]) => ({ id, text: text2, href: `#/workloads/${id}` })) }),
      ROLLED.has(plural) ? /* @__PURE__ */ u3(Rolled, { plural }, plural) : /* @__PURE__ */ u3(KindTable, { kind: kindOf(plural) }, plural)
    ] }) : /* @__PURE__ */ u3(Heading, { title: "There is no such view" });
  }
  function replicas({ kind, spec, status = {} }) {
    return kind === "DaemonSet" ? { ready: status.numberReady ?? 0, desired: status.desiredNumberScheduled ?? 0 } : { ready: status.readyReplicas ?? 0, desired: spec.replicas ?? 1 };
  }
  function Rolled({ plural }) {
    let { namespace } = useScope(), kind = kindOf(plural), workloads = useLive({ path: pathOf(kind, namespace) }), columns = T2(
      () => [
        { name: "Name", grow: 2, cell: (row2) => row2.metadata.name, sort: (row2) => row2.metadata.name },
        { name: "Namespace", grow: 1.3, minor: !0, cell: (row2) => row2.metadata.namespace, sort: (row2) => row2.metadata.namespace ?? "" },
        { name: "Ready", grow: 1.1, cell: (row2) => /* @__PURE__ */ u3(Share, { ...replicas(row2) }), sort: (row2) => replicas(row2).ready },
        { name: "Rollout", grow: 2.4, cell: (row2) => /* @__PURE__ */ u3(RolloutBadge, { of: row2 }), sort: (row2) => progress(row2).words },
        {
          name: "Images",
          grow: 2.4,
          minor: !0,
          cell: (row2) => row2.spec.template.spec.containers.map((container) => container.image).join(", ")
        },
        {
          name: "Age",
          grow: 0.6,
          cell: (row2) => /* @__PURE__ */ u3(Age, { of: row2.metadata.creationTimestamp }),
          sort: (row2) => -Date.parse(row2.metadata.creationTimestamp)
        }
      ],
      []
    );
    return /* @__PURE__ */ u3(ListState, { listing: workloads, children: /* @__PURE__ */ u3(
      Table,
      {
        label: kind.kind,
        rows: workloads.items,
        columns,
        keyOf: (row2) => row2.metadata.uid,
        linkOf: (row2) => linkTo(kind, row2.metadata.namespace, row2.metadata.name),
        textOf: (row2) => `${row2.metadata.name} ${row2.metadata.namespace} ${JSON.stringify(row2.metadata.labels ?? {})}`
      }
    ) });
  }
  function RolloutBadge({ of }) {
    let { done, words } = progress(of);
    return of.spec.paused ? /* @__PURE__ */ u3(Badge, { tone: "quiet", children: `paused: ${words}` }) : /* @__PURE__ */ u3(Badge, { tone: done ? "good" : words.startsWith("exceeded") ? "bad" : "busy", children: words });
  }
  function Share({ ready, desired }) {
    return /* @__PURE__ */ u3("span", { class: "share", children: [
      ready,
      "/",
      desired,
      /* @__PURE__ */ u3("span", { class: "track", "aria-hidden": "true", children: /* @__PURE__ */ u3(
        "i",
        {
          class: ready >= desired ? "good" : void 0,
          ref: (element) => element?.style.setProperty("width", `${desired === 0 ? 0 : Math.min(100, ready / desired * 100)}%`)
        }
      ) })
    ] });
  }

  // src/views/workload.tsx
  function WorkloadDetails({ kind, workload }) {
    let { ready, desired } = replicas(workload), { spec } = workload, metrics = useMetrics("pods", workload.metadata.namespace);
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Rollout, { workload }),
      /* @__PURE__ */ u3(Panel, { title: kind.kind, children: /* @__PURE__ */ u3(
        Facts,
        {
          facts: [
            ["State", /* @__PURE__ */ u3(RolloutBadge, { of: workload })],
            ["Ready", `${ready} of ${desired}`],
            ["Strategy", spec.strategy?.type ?? spec.updateStrategy?.type],
            ["Images", /* @__PURE__ */ u3(Chips, { of: spec.template.spec.containers.map((container) => container.image ?? "") })],
            ["Selector", /* @__PURE__ */ u3(Chips, { of: pairs(spec.selector?.matchLabels) })]
          ]
        }
      ) }),
      /* @__PURE__ */ u3(Panel, { title: "Pods", wide: !0, children: /* @__PURE__ */ u3(PodsOf, { workload, metrics }) })
    ] });
  }
  function PodsOf({ workload, metrics }) {
    let list = useRevisions(workload), pods = T2(() => list.flatMap((revision) => revision.pods), [list]);
    return /* @__PURE__ */ u3(PodTable, { label: "Pods", pods, metrics });
  }

  // src/views/yaml.tsx
  function Yaml({ kind, namespace, name }) {
    let [object, setObject] = d2(), [step2, setStep] = d2({ at: "read" }), [error, setError] = d2(), isSecret = kind.group === "" && kind.plural === "secrets", [revealed, setRevealed] = d2(!isSecret), load2 = async () => {
      try {
        setObject(await kube(pathOf(kind, namespace, name))), setError(void 0);
      } catch (failure) {
        setError({ words: wordsOf(failure), conflict: !1 });
      }
    };
    if (h2(() => {
      revealed && load2();
    }, [revealed]), !revealed)
      return /* @__PURE__ */ u3(Panel, { title: "YAML", wide: !0, children: [
        /* @__PURE__ */ u3(Empty, { children: "The YAML of a Secret has its values in it." }),
        /* @__PURE__ */ u3(ActionButton, { needs: [permission("get", kind, namespace, name)], onClick: () => setRevealed(!0), children: "Show values" })
      ] });
    if (object === void 0) return error === void 0 ? /* @__PURE__ */ u3(Empty, { children: "Loading…" }) : /* @__PURE__ */ u3(Failure, { children: error.words });
    let before = toYaml(object), send3 = async (text2, dryRun) => {
      try {
        let changed2 = fromYaml(text2)[0], { path, call } = replace(kind, changed2, namespace, name, dryRun), answer = await kubeWithWarnings(path, call);
        setError(void 0), dryRun ? setStep({ at: "review", text: text2, after: toYaml(answer.object), warnings: answer.warnings }) : (setObject(answer.object), setStep({ at: "read" }), toast(`${kind.kind} ${name} is changed`));
      } catch (failure) {
        let conflict = failure instanceof ApiError && failure.reason === "Conflict";
        setError({ words: wordsOf(failure), conflict }), setStep({ at: "edit", text: text2 });
      }
    };
    return /* @__PURE__ */ u3(Panel, { title: "YAML", wide: !0, children: [
      error !== void 0 && /* @__PURE__ */ u3(Failure, { children: [
        error.words,
        error.conflict && /* @__PURE__ */ u3(
          "button",
          {
            type: "button",
            onClick: () => {
              setStep({ at: "read" }), load2();
            },
            children: "Give up this change and load the newest"
          }
        )
      ] }),
      step2.at === "read" && /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3("div", { class: "toolbar", children: [
          /* @__PURE__ */ u3(ActionButton, { needs: [permission("update", kind, namespace, name)], onClick: () => setStep({ at: "edit", text: before }), children: "Edit" }),
          /* @__PURE__ */ u3("button", { type: "button", onClick: () => void load2(), children: "Load anew" })
        ] }),
        /* @__PURE__ */ u3("pre", { class: "yaml", tabIndex: 0, "aria-label": "YAML", children: before })
      ] }),
      step2.at === "edit" && /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3(
          "textarea",
          {
            class: "code",
            "aria-label": "YAML",
            spellcheck: !1,
            rows: Math.min(40, step2.text.split(`
`).length + 2),
            value: step2.text,
            onInput: (event) => setStep({ at: "edit", text: event.currentTarget.value })
          }
        ),
        /* @__PURE__ */ u3("footer", { children: [
          /* @__PURE__ */ u3(
            "button",
            {
              type: "button",
              onClick: () => {
                setStep({ at: "read" }), setError(void 0);
              },
              children: "Cancel"
            }
          ),
          /* @__PURE__ */ u3("button", { type: "button", class: "primary", onClick: () => void send3(step2.text, !0), children: "Review" })
        ] })
      ] }),
      step2.at === "review" && /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3("p", { children: "What the API server would make of it:" }),
        step2.warnings.map((warning) => /* @__PURE__ */ u3("p", { class: "warning-text", children: `Warning: ${warning}` }, warning)),
        /* @__PURE__ */ u3(DiffView, { before, after: step2.after }),
        /* @__PURE__ */ u3("footer", { children: [
          /* @__PURE__ */ u3("button", { type: "button", onClick: () => setStep({ at: "edit", text: step2.text }), children: "Back" }),
          /* @__PURE__ */ u3("button", { type: "button", class: "primary", onClick: () => void send3(step2.text, !1), children: "Save" })
        ] })
      ] })
    ] });
  }

  // src/views/object.tsx
  function target(parts2) {
    let [group = "", version = "", plural = "", namespace = "", name = ""] = parts2;
    if (name === "") return;
    let realGroup = group === "core" ? "" : group;
    return { kind: KINDS.find((kind2) => kind2.group === realGroup && kind2.plural === plural) ?? { group: realGroup, version, plural, kind: "", namespaced: namespace !== "_" }, namespace: namespace === "_" ? "" : namespace, name };
  }
  function ObjectView({ route }) {
    let at = T2(() => target(route.parts), [route.parts.join("/")]), listing = useLive(
      at === void 0 ? null : { path: pathOf(at.kind, at.namespace), fieldSelector: `metadata.name=${at.name}` }
    ), object = listing.items[0];
    if (at === void 0) return /* @__PURE__ */ u3(Heading, { title: "There is no such view" });
    let kind = { ...at.kind, kind: object?.kind ?? at.kind.kind };
    if (object === void 0)
      return /* @__PURE__ */ u3(S, { children: [
        /* @__PURE__ */ u3(Heading, { title: at.name, kind: kind.kind }),
        listing.error !== void 0 && /* @__PURE__ */ u3(Failure, { children: listing.error }),
        listing.error === void 0 && /* @__PURE__ */ u3(Empty, { children: listing.ready ? `There is no ${kind.kind || kind.plural} of this name (any more).` : "Loading…" })
      ] });
    let isPod = kind.group === "" && kind.plural === "pods", tabs = [["", "Overview"], ...isPod ? [["logs", "Logs"], ["terminal", "Terminal"]] : [], ["yaml", "YAML"]], tab = route.query.tab ?? "";
    return /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: at.name, kind: kind.kind, children: /* @__PURE__ */ u3(ActionBar, { kind, object }) }),
      /* @__PURE__ */ u3(
        Tabs,
        {
          label: `About ${at.name}`,
          current: tab,
          of: [
            ...tabs.map(([id = "", text2 = ""]) => ({ id, text: text2, href: linkTo(kind, at.namespace, at.name, id) })),
            { id: "follow", text: "Follow", href: `#/follow?${new URLSearchParams({ uid: object.metadata.uid, name: at.name })}` }
          ]
        }
      ),
      tab === "logs" && isPod ? /* @__PURE__ */ u3(Logs, { pod: object, container: route.query.container }) : tab === "terminal" && isPod ? /* @__PURE__ */ u3(Terminal, { pod: object, container: route.query.container }) : tab === "yaml" ? /* @__PURE__ */ u3(Yaml, { kind, namespace: at.namespace, name: at.name }) : /* @__PURE__ */ u3(Overview, { kind, object })
    ] });
  }
  function Overview({ kind, object }) {
    let conditions = object.status?.conditions;
    return /* @__PURE__ */ u3("div", { class: "panels", children: [
      /* @__PURE__ */ u3(Why, { object }),
      /* @__PURE__ */ u3(Details2, { kind, object }),
      /* @__PURE__ */ u3(About, { object }),
      conditions !== void 0 && conditions.length > 0 && /* @__PURE__ */ u3(Conditions, { of: conditions }),
      kind.plural !== "events" && /* @__PURE__ */ u3(Events, { of: object })
    ] });
  }
  function Details2({ kind, object }) {
    let inGroup = KINDS.some((known2) => known2.group === kind.group && known2.plural === kind.plural);
    if (inGroup && ROLLED.has(kind.plural)) return /* @__PURE__ */ u3(WorkloadDetails, { kind, workload: object });
    switch (inGroup ? kind.plural : "") {
      case "pods":
        return /* @__PURE__ */ u3(PodDetails, { pod: object });
      case "nodes":
        return /* @__PURE__ */ u3(NodeDetails, { node: object });
      case "services":
        return /* @__PURE__ */ u3(ServiceDetails, { service: object });
      case "jobs":
      case "cronjobs":
        return /* @__PURE__ */ u3(JobDetails, { kind, object });
      case "configmaps":
        return /* @__PURE__ */ u3(ConfigData, { object });
      case "secrets":
        return /* @__PURE__ */ u3(SecretData, { secret: object });
      default:
        return object.spec === void 0 ? null : /* @__PURE__ */ u3(Panel, { title: "Specification", children: /* @__PURE__ */ u3("pre", { class: "yaml", tabIndex: 0, children: toYaml(object.spec) }) });
    }
  }
  function About({ object }) {
    let { metadata } = object, owners = (metadata.ownerReferences ?? []).map((owner) => {
      let text2 = `${owner.kind}/${owner.name}`, href = linkToReference({ ...owner, namespace: metadata.namespace });
      return href === void 0 ? /* @__PURE__ */ u3("span", { children: text2 }, owner.uid) : /* @__PURE__ */ u3("a", { href, children: text2 }, owner.uid);
    });
    return /* @__PURE__ */ u3(Panel, { title: "About", children: /* @__PURE__ */ u3(
      Facts,
      {
        facts: [
          ["Namespace", metadata.namespace],
          ["Created", /* @__PURE__ */ u3(Age, { of: metadata.creationTimestamp })],
          ["Being deleted", metadata.deletionTimestamp === void 0 ? void 0 : /* @__PURE__ */ u3(Age, { of: metadata.deletionTimestamp })],
          ["Belongs to", owners.length > 0 ? owners : void 0],
          ["Labels", metadata.labels === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: pairs(metadata.labels) })],
          ["Finalizers", metadata.finalizers === void 0 ? void 0 : /* @__PURE__ */ u3(Chips, { of: metadata.finalizers })],
          ["UID", /* @__PURE__ */ u3("code", { children: metadata.uid })]
        ]
      }
    ) });
  }
  function Conditions({ of }) {
    return /* @__PURE__ */ u3(Panel, { title: "Conditions", children: /* @__PURE__ */ u3("ul", { class: "conditions", children: of.map((condition) => /* @__PURE__ */ u3("li", { children: [
      /* @__PURE__ */ u3("b", { children: condition.type }),
      /* @__PURE__ */ u3("span", { class: `condition-${condition.status}`, children: condition.status }),
      /* @__PURE__ */ u3("small", { children: /* @__PURE__ */ u3(Age, { of: condition.lastTransitionTime }) }),
      (condition.reason || condition.message) && /* @__PURE__ */ u3("p", { children: [
        condition.reason,
        condition.message && `: ${condition.message}`
      ] })
    ] }, condition.type)) }) });
  }
  var SETTLE = 1e3;
  function Why({ object }) {
    let [explanation, setExplanation] = d2(), { uid: uid2, name, namespace, resourceVersion } = object.metadata;
    return h2(() => {
      let stop = new AbortController(), query = { kind: object.kind ?? "", name, ...namespace === void 0 ? {} : { namespace } }, ask2 = () => own("why", { query, signal: stop.signal }).then(setExplanation, () => {
        stop.signal.aborted || setExplanation(void 0);
      }), timer = setTimeout(() => void ask2(), explanation === void 0 ? 0 : SETTLE);
      return () => {
        clearTimeout(timer), stop.abort();
      };
    }, [uid2, resourceVersion]), explanation === void 0 || explanation.causes.length === 0 ? null : /* @__PURE__ */ u3(Panel, { title: "Why", wide: !0, children: [
      /* @__PURE__ */ u3("p", { class: "why", children: explanation.summary }),
      explanation.causes.map((cause, index) => /* @__PURE__ */ u3(DiagnosisCard, { of: cause, open: index === 0 }, `${cause.cause}/${cause.subject.name}`)),
      explanation.unread.length > 0 && /* @__PURE__ */ u3("p", { class: "note", children: [
        "Not read: ",
        explanation.unread.map((each) => `${each.resource} (${each.reason})`).join(", ")
      ] })
    ] });
  }

  // src/views/resources.tsx
  function link2(kind) {
    return `#/resources/${kind.group === "" ? "core" : kind.group}/${kind.plural}`;
  }
  function isCustom(kind) {
    return kind.group.includes(".") && !kind.group.endsWith(".k8s.io");
  }
  var COLUMNS3 = [
    { name: "Kind", grow: 2, cell: (kind) => kind.kind, sort: (kind) => kind.kind },
    { name: "Group and version", grow: 2, cell: groupVersion, sort: groupVersion },
    { name: "Resource", grow: 1.5, minor: !0, cell: (kind) => kind.plural, sort: (kind) => kind.plural },
    { name: "Custom", grow: 0.7, cell: (kind) => isCustom(kind) ? "yes" : "", sort: (kind) => isCustom(kind) ? 0 : 1 },
    { name: "Namespaced", grow: 0.8, minor: !0, cell: (kind) => kind.namespaced ? "yes" : "no", sort: (kind) => String(kind.namespaced) }
  ];
  function Resources({ route }) {
    let [kinds, setKinds] = d2(), [error, setError] = d2(), [group = "", plural = ""] = route.parts;
    h2(() => {
      discover().then(setKinds, (failure) => setError(wordsOf(failure)));
    }, [group, plural]);
    let kind = T2(
      () => kinds?.find((each) => each.plural === plural && each.group === (group === "core" ? "" : group)),
      [kinds, group, plural]
    ), sorted = T2(() => [...kinds ?? []].sort((one, other) => Number(isCustom(other)) - Number(isCustom(one))), [kinds]);
    return plural !== "" ? /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: kind?.kind ?? plural, kind: group === "core" ? "v1" : group }),
      error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
      kind !== void 0 ? /* @__PURE__ */ u3(KindTable, { kind }) : /* @__PURE__ */ u3(Empty, { children: kinds === void 0 ? "Loading…" : "The cluster does not serve this kind." })
    ] }) : /* @__PURE__ */ u3(S, { children: [
      /* @__PURE__ */ u3(Heading, { title: "Resources" }),
      error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
      kinds === void 0 ? error === void 0 && /* @__PURE__ */ u3(Empty, { children: "Loading…" }) : /* @__PURE__ */ u3(
        Table,
        {
          label: "Kinds",
          rows: sorted,
          columns: COLUMNS3,
          keyOf: link2,
          linkOf: link2,
          textOf: (each) => `${each.kind} ${groupVersion(each)} ${each.plural} ${isCustom(each) ? "custom" : ""}`
        }
      )
    ] });
  }

  // src/views/index.ts
  var VIEWS = {
    cluster: { component: Cluster, text: "Cluster", key: "h" },
    nodes: { component: Nodes, text: "Nodes", key: "n" },
    workloads: { component: Workloads, text: "Workloads", key: "w" },
    pods: { component: Pods, text: "Pods", key: "p" },
    services: { component: Kinds, text: "Services", key: "s" },
    storage: { component: Kinds, text: "Storage", key: "v" },
    configuration: { component: Kinds, text: "Configuration", key: "c" },
    events: { component: AllEvents, text: "Events", key: "e" },
    follow: { component: Follow, text: "Follow", key: "f" },
    resources: { component: Resources, text: "Resources", key: "r" },
    access: { component: Access, text: "Access", key: "a" },
    create: { component: Create },
    object: { component: ObjectView }
  };

  // src/parts/settings.ts
  function read(key) {
    try {
      return localStorage.getItem(`dashboard.${key}`);
    } catch {
      return null;
    }
  }
  function write(key, value) {
    try {
      localStorage.setItem(`dashboard.${key}`, value);
    } catch {
    }
  }
  function scheme() {
    let kept = read("scheme");
    return kept === "light" || kept === "dark" ? kept : "auto";
  }
  function setScheme(chosen) {
    write("scheme", chosen), applyScheme(chosen);
  }
  function applyScheme(chosen) {
    document.documentElement.dataset.scheme = chosen, dispatchEvent(new Event("scheme"));
  }
  function keptNamespace() {
    return read("namespace");
  }
  function keepNamespace(namespace) {
    write("namespace", namespace);
  }
  function letterKeys() {
    return read("letter-keys") !== "off";
  }
  function setLetterKeys(on) {
    write("letter-keys", on ? "on" : "off");
  }

  // src/parts/keys.tsx
  function takesText(element) {
    return element instanceof Element && element.closest("input:not([type=checkbox]), textarea, select, [role=textbox], dialog") !== null;
  }
  function useKeys({ search: search2, help }) {
    h2(() => {
      let going = !1, onKey = (event) => {
        if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
          event.preventDefault(), search2();
          return;
        }
        if (event.ctrlKey || event.metaKey || event.altKey || takesText(event.target) || !letterKeys()) return;
        if (going) {
          going = !1;
          let view = Object.entries(VIEWS).find(([, { key }]) => key === event.key)?.[0];
          view !== void 0 && (location.hash = `#/${view}`);
          return;
        }
        let action = {
          "/": search2,
          "?": help,
          g: () => going = !0,
          n: () => document.querySelector("#namespace")?.focus(),
          f: () => document.querySelector("main .filter")?.focus(),
          c: () => location.hash = "#/create"
        }[event.key];
        action !== void 0 && (event.preventDefault(), action());
      };
      return addEventListener("keydown", onKey), () => removeEventListener("keydown", onKey);
    }, []);
  }
  function Help({ onClose }) {
    let [letters, setLetters] = d2(letterKeys()), keys = [
      ["Ctrl+K or /", "Search everything"],
      ["↓ ↑ or j k", "From row to row in a table"],
      ["Enter", "Open the row"],
      ["n", "Choose the namespace"],
      ["f", "Filter the table, search the log"],
      ["c", "Create from YAML"],
      ["Escape", "Close what is open"],
      ...Object.values(VIEWS).flatMap(({ key, text: text2 }) => key === void 0 || text2 === void 0 ? [] : [[`g ${key}`, text2]]),
      ["Ctrl+Shift+Escape", "Leave the terminal"],
      ["?", "This help"]
    ];
    return /* @__PURE__ */ u3(Dialog, { title: "Keys", onClose, children: [
      /* @__PURE__ */ u3("dl", { class: "keys", children: keys.map(([key, text2]) => /* @__PURE__ */ u3("div", { children: [
        /* @__PURE__ */ u3("dt", { children: /* @__PURE__ */ u3("kbd", { children: key }) }),
        /* @__PURE__ */ u3("dd", { children: text2 })
      ] }, key)) }),
      /* @__PURE__ */ u3("label", { class: "check", children: [
        /* @__PURE__ */ u3(
          "input",
          {
            type: "checkbox",
            checked: letters,
            onChange: (event) => {
              setLetters(event.currentTarget.checked), setLetterKeys(event.currentTarget.checked);
            }
          }
        ),
        "Keys without Ctrl work"
      ] })
    ] });
  }

  // src/parts/palette.tsx
  var SEARCHED = [
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "jobs",
    "cronjobs",
    "services",
    "ingresses",
    "nodes",
    "namespaces",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses",
    "serviceaccounts"
  ], NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", SHOWN = 40;
  function views() {
    return [...Object.entries(VIEWS).flatMap(
      ([view, { text: text2 }]) => text2 === void 0 ? [] : [{ text: text2, kind: "View", where: "", href: `#/${view}` }]
    ), { text: "Create from YAML", kind: "Action", where: "", href: "#/create" }];
  }
  async function objects(kind) {
    try {
      return ((await kube(pathOf(kind), { accept: NAMES_ONLY })).items ?? []).map(({ metadata: { name, namespace } }) => ({
        text: name,
        kind: kind.kind,
        where: namespace ?? "",
        href: linkTo(kind, namespace, name)
      }));
    } catch {
      return [];
    }
  }
  function Palette({ onClose }) {
    let [wanted, setWanted] = d2(""), [entries, setEntries] = d2(views), [at, setAt] = d2(0), list = A2(null);
    h2(() => {
      let here = !0;
      for (let plural of SEARCHED)
        objects(kindOf(plural)).then((found2) => {
          here && found2.length > 0 && setEntries((before) => [...before, ...found2]);
        });
      return () => {
        here = !1;
      };
    }, []);
    let found = T2(() => search(wanted, entries, (entry) => `${entry.text} ${entry.kind} ${entry.where}`, SHOWN), [wanted, entries]), current2 = Math.min(at, found.length - 1);
    h2(() => {
      list.current?.children[current2]?.scrollIntoView({ block: "nearest" });
    }, [current2]);
    let open2 = (entry) => {
      entry !== void 0 && (onClose(), location.hash = entry.href);
    };
    return /* @__PURE__ */ u3(Dialog, { title: "Search", onClose, wide: !0, children: [
      /* @__PURE__ */ u3(
        "input",
        {
          type: "search",
          class: "palette-input",
          placeholder: "Name, kind or namespace",
          "aria-label": "Search everything",
          role: "combobox",
          "aria-expanded": "true",
          "aria-controls": "palette-list",
          "aria-activedescendant": found.length > 0 ? `palette-${current2}` : void 0,
          autofocus: !0,
          value: wanted,
          onInput: (event) => {
            setWanted(event.currentTarget.value), setAt(0);
          },
          onKeyDown: (event) => {
            let step2 = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
            step2 !== 0 ? (event.preventDefault(), setAt((current2 + step2 + found.length) % Math.max(1, found.length))) : event.key === "Enter" && (event.preventDefault(), open2(found[current2]));
          }
        }
      ),
      /* @__PURE__ */ u3("ul", { id: "palette-list", class: "palette", role: "listbox", "aria-label": "Found", ref: list, children: found.map((entry, index) => /* @__PURE__ */ u3(
        "li",
        {
          id: `palette-${index}`,
          role: "option",
          "aria-selected": index === current2,
          onClick: () => open2(entry),
          onMouseMove: () => setAt(index),
          children: [
            /* @__PURE__ */ u3("span", { class: "kind", children: entry.kind }),
            /* @__PURE__ */ u3("b", { children: entry.text }),
            /* @__PURE__ */ u3("small", { children: entry.where })
          ]
        },
        entry.href
      )) }),
      found.length === 0 && /* @__PURE__ */ u3("p", { class: "empty", children: "Nothing of this name." })
    ] });
  }

  // src/views/login.tsx
  function Login({ onLogin }) {
    let [token, setToken] = d2(""), [error, setError] = d2(), [busy, setBusy] = d2(!1), send3 = async () => {
      setBusy(!0);
      try {
        onLogin(await login(token.trim()));
      } catch (failure) {
        setError(wordsOf(failure)), setBusy(!1);
      }
    };
    return /* @__PURE__ */ u3("main", { class: "login", children: /* @__PURE__ */ u3(
      "form",
      {
        class: "panel",
        onSubmit: (event) => {
          event.preventDefault(), send3();
        },
        children: [
          /* @__PURE__ */ u3("h1", { children: "Kubernetes dashboard" }),
          /* @__PURE__ */ u3("p", { children: "Everything you see and do here is with the permissions of the token you log in with." }),
          /* @__PURE__ */ u3(Field, { label: "Token", children: /* @__PURE__ */ u3(
            "input",
            {
              type: "password",
              autocomplete: "off",
              required: !0,
              value: token,
              onInput: (event) => setToken(event.currentTarget.value)
            }
          ) }),
          /* @__PURE__ */ u3("p", { class: "note", children: [
            "A token of a ServiceAccount: ",
            /* @__PURE__ */ u3("code", { children: "kubectl create token NAME" })
          ] }),
          error !== void 0 && /* @__PURE__ */ u3(Failure, { children: error }),
          /* @__PURE__ */ u3("footer", { children: /* @__PURE__ */ u3("button", { type: "submit", class: "primary", disabled: busy, children: "Log in" }) })
        ]
      }
    ) });
  }

  // src/app.tsx
  function App() {
    let [session2, setSession] = d2(), [error, setError] = d2();
    return h2(() => {
      whenLoggedOut(() => {
        closeLive(), forgetPermissions(), setSession((before) => before && { ...before, loginNeeded: !0, user: null });
      }), session().then(setSession, (failure) => setError(wordsOf(failure)));
    }, []), error !== void 0 ? /* @__PURE__ */ u3("main", { class: "login", children: /* @__PURE__ */ u3(Failure, { children: error }) }) : session2?.loginNeeded ? /* @__PURE__ */ u3(Login, { onLogin: setSession }) : /* @__PURE__ */ u3(Frame, { session: session2, onLogout: () => void logout().then(() => location.reload()) });
  }
  function useRoute() {
    let [route, setRoute] = d2(() => parseRoute(location.hash));
    return h2(() => {
      let onChange = () => setRoute(parseRoute(location.hash));
      return addEventListener("hashchange", onChange), () => removeEventListener("hashchange", onChange);
    }, []), route;
  }
  function Frame({ session: session2, onLogout: onLogout2 }) {
    let route = useRoute(), [namespace, setNamespace] = d2(keptNamespace() ?? ""), [open2, setOpen] = d2(), [menu, setMenu] = d2(!1), scope = T2(
      () => session2 && {
        session: session2,
        namespace,
        chooseNamespace: (chosen) => {
          keepNamespace(chosen), setNamespace(chosen);
        }
      },
      [session2, namespace]
    );
    useKeys({ search: () => setOpen("search"), help: () => setOpen("help") });
    let place2 = `${route.view}/${route.parts.join("/")}`, first = A2(!0);
    h2(() => {
      setMenu(!1), first.current || document.querySelector("main h1")?.focus({ preventScroll: !0 }), first.current = !1, scrollTo(0, 0);
    }, [place2]);
    let View = Object.hasOwn(VIEWS, route.view) ? VIEWS[route.view]?.component : void 0;
    return /* @__PURE__ */ u3(ScopeProvider, { value: scope, children: [
      /* @__PURE__ */ u3("a", { class: "skip", href: "#main", onClick: (event) => {
        event.preventDefault(), document.querySelector("main")?.focus();
      }, children: "Skip to content" }),
      /* @__PURE__ */ u3("div", { class: "frame", children: [
        /* @__PURE__ */ u3("header", { class: "bar", children: [
          /* @__PURE__ */ u3("button", { type: "button", class: "icon menu", "aria-label": "Menu", "aria-expanded": menu, onClick: () => setMenu(!menu), children: "☰" }),
          /* @__PURE__ */ u3("a", { class: "brand", href: "#/cluster", children: [
            /* @__PURE__ */ u3("i", { "aria-hidden": "true" }),
            /* @__PURE__ */ u3("span", { title: session2?.cluster.name ?? void 0, children: clusterName(session2) })
          ] }),
          scope === void 0 ? /* @__PURE__ */ u3(NoChoice, { namespace }) : /* @__PURE__ */ u3(NamespaceChoice, { scope }),
          /* @__PURE__ */ u3("button", { type: "button", class: "search", onClick: () => setOpen("search"), children: [
            /* @__PURE__ */ u3("span", { children: "Search" }),
            /* @__PURE__ */ u3("kbd", { children: "Ctrl K" })
          ] }),
          /* @__PURE__ */ u3(Connection, {}),
          /* @__PURE__ */ u3("span", { class: "user", title: session2?.user?.groups?.join(", "), children: session2?.user?.username }),
          /* @__PURE__ */ u3(SchemeChoice, {}),
          /* @__PURE__ */ u3("button", { type: "button", class: "icon", "aria-label": "Keys", onClick: () => setOpen("help"), children: "?" }),
          session2?.mode === "serve" && /* @__PURE__ */ u3("button", { type: "button", onClick: onLogout2, children: "Log out" })
        ] }),
        /* @__PURE__ */ u3("nav", { class: menu ? "side open" : "side", "aria-label": "Views", children: Object.entries(VIEWS).map(
          ([view, { text: text2 }]) => text2 !== void 0 && /* @__PURE__ */ u3("a", { href: `#/${view}`, "aria-current": route.view === view ? "page" : void 0, children: text2 }, view)
        ) }),
        /* @__PURE__ */ u3("main", { id: "main", tabIndex: -1, "aria-busy": session2 === void 0, children: [
          session2?.error && /* @__PURE__ */ u3(Failure, { children: session2.error.message }),
          session2 !== void 0 && (View === void 0 ? /* @__PURE__ */ u3(Heading, { title: "There is no such view" }) : /* @__PURE__ */ u3(View, { route }, route.view === "object" ? place2 : route.view))
        ] })
      ] }),
      open2 === "search" && session2 !== void 0 && /* @__PURE__ */ u3(Palette, { onClose: () => setOpen(void 0) }),
      open2 === "help" && /* @__PURE__ */ u3(Help, { onClose: () => setOpen(void 0) }),
      /* @__PURE__ */ u3(Toasts, {})
    ] });
  }
  function clusterName(session2) {
    return session2?.cluster.name?.replace(/^.*@/, "") ?? "Kubernetes";
  }
  function NoChoice({ namespace }) {
    return /* @__PURE__ */ u3("select", { id: "namespace", "aria-label": "Namespace", disabled: !0, children: /* @__PURE__ */ u3("option", { children: namespace || "All namespaces" }) });
  }
  function NamespaceChoice({ scope }) {
    let listing = useLive({ path: "/api/v1/namespaces", as: "metadata" }), names2 = T2(() => listing.items.map((item) => item.metadata.name).sort(), [listing.items]), { namespace, chooseNamespace } = scope;
    return listing.error !== void 0 ? /* @__PURE__ */ u3(
      "input",
      {
        id: "namespace",
        "aria-label": "Namespace",
        placeholder: "Namespace",
        title: listing.error,
        value: namespace,
        onChange: (event) => chooseNamespace(event.currentTarget.value.trim())
      }
    ) : /* @__PURE__ */ u3("select", { id: "namespace", "aria-label": "Namespace", value: namespace, onChange: (event) => chooseNamespace(event.currentTarget.value), children: [
      /* @__PURE__ */ u3("option", { value: "", children: "All namespaces" }),
      [.../* @__PURE__ */ new Set([...namespace === "" ? [] : [namespace], ...names2])].map((name) => /* @__PURE__ */ u3("option", { value: name, children: name }, name))
    ] });
  }
  function Connection() {
    return useConnected() ? null : /* @__PURE__ */ u3("span", { class: "badge bad", role: "status", children: [
      /* @__PURE__ */ u3("i", { class: "dot", "aria-hidden": "true" }),
      "reconnecting"
    ] });
  }
  var SCHEMES = {
    auto: { next: "light", sign: "◐", text: "Colours as the system has them" },
    light: { next: "dark", sign: "☀", text: "Light colours" },
    dark: { next: "auto", sign: "☾", text: "Dark colours" }
  };
  function SchemeChoice() {
    let [current2, setCurrent] = d2(scheme()), { next, sign, text: text2 } = SCHEMES[current2];
    return /* @__PURE__ */ u3(
      "button",
      {
        type: "button",
        class: "icon",
        "aria-label": `${text2}; change`,
        title: text2,
        onClick: () => {
          setScheme(next), setCurrent(next);
        },
        children: sign
      }
    );
  }

  // src/main.tsx
  applyScheme(scheme());
  var root = document.querySelector("#app");
  root !== null && R(/* @__PURE__ */ u3(App, {}), root);
})();
