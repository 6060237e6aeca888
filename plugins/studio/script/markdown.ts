/** The Markdown that answers use, as elements. What is not understood stays as it was written. */
export const MARKDOWN = String.raw`
const INLINE = new RegExp([
  '\\[\\^(\\d{1,3})\\^?\\]',
  '\\x60([^\\x60]+)\\x60',
  '\\*\\*((?:[^*]|\\*(?!\\*))+)\\*\\*',
  '\\*([^*\\s](?:[^*]*[^*\\s])?)\\*',
  '!?\\[([^\\]\\[]+)\\]\\(([^()\\s]+)\\)',
  '(https?://[^\\s<>()\\[\\]"]*[^\\s<>()\\[\\]".,;:!?*])'
].join('|'), 'g')

function inline(text, sources) {
  const nodes = []
  let end = 0
  for (const found of text.matchAll(INLINE)) {
    const [all, citation, code, strong, emphasis, label, target, bare] = found
    nodes.push(text.slice(end, found.index))
    end = found.index + all.length
    if (citation !== undefined) nodes.push(cite(Number(citation), sources))
    else if (code !== undefined) nodes.push(h('code', {}, code))
    else if (strong !== undefined) nodes.push(h('strong', {}, inline(strong, sources)))
    else if (emphasis !== undefined) nodes.push(h('em', {}, inline(emphasis, sources)))
    else {
      const url = httpUrl(target || bare)
      nodes.push(url === undefined ? all : external(url, {}, label || bare))
    }
  }
  nodes.push(text.slice(end))
  return nodes.filter((node) => node !== '')
}

function cite(number, sources) {
  const source = sources[number - 1]
  const url = source && httpUrl(source.url)
  const mark = url === undefined ? String(number) : external(url, { title: source.title }, String(number))
  return h('sup', { class: 'cite' }, mark)
}

function lines(list, sources) {
  return list.flatMap((line, i) => (i === 0 ? inline(line, sources) : [h('br'), ...inline(line, sources)]))
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/
const FENCE = /^\s*(\x60{3,}|~{3,})/
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/
const cells = (row) => row.trim().replace(/^\|/, '').replace(/\|$/, '').split('|').map((cell) => cell.trim())

function markdown(text, sources = []) {
  const rows = text.replace(/\r\n?/g, '\n').split('\n')
  const blocks = []
  const isTable = (i) => rows[i].includes('|') && i + 1 < rows.length && rows[i + 1].includes('-') && DIVIDER.test(rows[i + 1])
  const opens = (i) =>
    rows[i].trim() === '' || FENCE.test(rows[i]) || HEADING.test(rows[i]) || ITEM.test(rows[i]) ||
    RULE.test(rows[i]) || rows[i].startsWith('>') || isTable(i)
  let i = 0
  while (i < rows.length) {
    const row = rows[i]
    const heading = HEADING.exec(row)
    if (row.trim() === '') i++
    else if (FENCE.test(row)) {
      const fence = FENCE.exec(row)[1]
      const body = []
      for (i++; i < rows.length && !rows[i].trim().startsWith(fence); i++) body.push(rows[i])
      i++
      blocks.push(h('pre', { tabindex: '0' }, h('code', {}, body.join('\n'))))
    } else if (heading) {
      i++
      blocks.push(h('h3', {}, inline(heading[2], sources)))
    } else if (RULE.test(row)) {
      i++
      blocks.push(h('hr'))
    } else if (row.startsWith('>')) {
      const quoted = []
      for (; i < rows.length && rows[i].startsWith('>'); i++) quoted.push(rows[i].replace(/^>\s?/, ''))
      blocks.push(h('blockquote', {}, lines(quoted, sources)))
    } else if (isTable(i)) {
      const head = cells(row)
      const body = []
      for (i += 2; i < rows.length && rows[i].includes('|'); i++) body.push(cells(rows[i]))
      blocks.push(h('div', { class: 'table', tabindex: '0' }, h('table', {},
        h('thead', {}, h('tr', {}, head.map((cell) => h('th', { scope: 'col' }, inline(cell, sources))))),
        h('tbody', {}, body.map((line) => h('tr', {}, line.map((cell) => h('td', {}, inline(cell, sources)))))))))
    } else if (ITEM.test(row)) {
      const items = []
      for (; i < rows.length; i++) {
        const item = ITEM.exec(rows[i])
        if (item) items.push({ indent: item[1].length, mark: item[2], text: item[3] })
        else if (rows[i].trim() === '' && i + 1 < rows.length && ITEM.test(rows[i + 1])) continue
        else if (rows[i].trim() !== '' && /^\s/.test(rows[i])) items.at(-1).text += ' ' + rows[i].trim()
        else break
      }
      blocks.push(...lists(items, sources))
    } else {
      const paragraph = [row]
      for (i++; i < rows.length && !opens(i); i++) paragraph.push(rows[i])
      blocks.push(h('p', {}, lines(paragraph, sources)))
    }
  }
  return blocks
}

// Items of one indent and kind form a list; deeper ones belong to the item above them.
function lists(items, sources) {
  const made = []
  let list
  for (let i = 0; i < items.length; ) {
    const { indent, mark, text } = items[i]
    const tag = /\d/.test(mark) ? 'ol' : 'ul'
    if (list === undefined || list.localName !== tag) {
      list = h(tag, tag === 'ol' && parseInt(mark, 10) !== 1 ? { start: parseInt(mark, 10) } : {})
      made.push(list)
    }
    let next = i + 1
    while (next < items.length && items[next].indent > indent) next++
    list.append(h('li', {}, inline(text, sources), lists(items.slice(i + 1, next), sources)))
    i = next
  }
  return made
}
`
