// Tells what Dart sources are made of, as JSON: what does not parse, what each imports and exports, which names it declares and uses. Its
// arguments are .dart files, and .md files, whose dart blocks count as a source each. This is all that can be known of the package on a
// machine without a Dart SDK; ../dart_test.go draws the conclusions.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Language, Parser } from 'web-tree-sitter';

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(fileURLToPath(import.meta.resolve('@repomix/tree-sitter-wasms/out/tree-sitter-dart.wasm'))));

const outlines = process.argv.slice(2).flatMap((name) => sourcesOf(name).map(outline));
process.stdout.write(JSON.stringify(outlines));

/** A file's sources, and the line of each. */
function sourcesOf(name) {
  const text = readFileSync(name, 'utf8');
  if (!name.endsWith('.md')) return [{ name, line: 1, text }];
  return [...text.matchAll(/^```dart\n([\s\S]*?)^```/gm)].map((m) => (
    { name, line: text.slice(0, m.index).split('\n').length + 1, text: inMain(m[1]) }));
}

/** A block of a text as a program: what stands outside of any function is the body of one. Lines keep their numbers. */
function inMain(block) {
  if (/^(Future<void>|void) \w+\(|^class /m.test(block)) return block;
  const lines = block.split('\n');
  const body = Math.max(0, lines.findIndex((line) => line && !line.startsWith('import ')));
  lines[body] = 'Future<void> main() async { ' + (lines[body] ?? '');
  return lines.join('\n') + '}\n';
}

function outline({ name, line, text }) {
  const root = parser.parse(text).rootNode;
  const found = { name, line, errors: [], imports: [], exports: [], declares: [], uses: [], members: {} };
  const uses = new Set();
  visit(root, (node) => {
    if (node.isError || node.isMissing) {
      found.errors.push({ line: line + node.startPosition.row, what: node.isMissing ? `${node.type} is missing` : 'not Dart', text: node.text.slice(0, 60) });
      return false;
    }
    if (node.type === 'import_or_export') {
      (/^export\b/.test(node.text) ? found.exports : found.imports).push(directive(node.text));
      return false;
    }
    if (node.type === 'type_identifier' || node.type === 'identifier') uses.add(node.text);
    return true;
  });
  found.uses = [...uses].sort();
  for (const node of root.namedChildren) {
    const declared = nameOf(node);
    if (declared) found.declares.push(declared);
    if (node.type === 'class_definition') found.members[declared] = membersOf(node);
  }
  return found;
}

/** Calls see for a node and, unless it answers false, for what is in it. */
function visit(node, see) {
  if (see(node)) for (const child of node.children) if (child) visit(child, see);
}

/** An import's or export's addresses: the one for all, and those for where a library is; what it shows, and its prefix. */
function directive(text) {
  const [uri, ...others] = [...text.matchAll(/'([^']*)'/g)].map((m) => m[1]);
  const conditions = [...text.matchAll(/if \(([\w.]+)\)/g)].map((m, i) => ({ library: m[1], uri: others[i] }));
  const show = /\bshow ([\w, ]+)/.exec(text)?.[1].split(/,\s*/) ?? null;
  return { uri, conditions, show, prefix: /\bas (\w+)/.exec(text)?.[1] ?? '' };
}

/** What a declaration at the top names. */
function nameOf(node) {
  const text = node.text.replace(/^(@\w+(\([^)]*\))?\s+)*/, '');
  switch (node.type) {
    case 'class_definition':
    case 'enum_declaration':
    case 'mixin_declaration':
    case 'extension_declaration':
      return /\b(?:class|enum|mixin|extension)\s+(\w+)/.exec(text)?.[1];
    case 'type_alias':
      return /^typedef\s+(\w+)/.exec(text)?.[1];
    case 'function_signature':
    case 'getter_signature':
      return node.namedChildren.findLast((child) => child?.type === 'identifier')?.text;
    case 'static_final_declaration_list':
    case 'initialized_identifier_list':
      return /^(\w+)/.exec(text)?.[1];
  }
  return undefined;
}

/** A class's methods and constructors: each with the names of its parameters. */
function membersOf(node) {
  const members = {};
  visit(node, (inner) => {
    if (!/^(function|constructor|factory_constructor)_signature$/.test(inner.type)) return inner.type !== 'function_body';
    const list = inner.namedChildren.find((child) => child?.type === 'formal_parameter_list');
    const ids = inner.namedChildren.filter((child) => child?.type === 'identifier').map((child) => child.text);
    members[ids.join('.')] = parameters(list);
    return false;
  });
  return members;
}

function parameters(list) {
  const names = [];
  if (list) {
    visit(list, (inner) => {
      if (inner.type !== 'formal_parameter') return true;
      names.push(inner.namedChildren.findLast((child) => child?.type === 'identifier')?.text ?? inner.text);
      return false;
    });
  }
  return names;
}
