import { nested, ODD_TEXTS, oddValue, PROTOTYPE_NAMES, Raw } from './odd-values.ts'
import type { Random } from './random.ts'

type Container = Record<string, unknown> | unknown[]

/**
 * A copy of a JSON value with one to three changes in its tree: a member of another type, gone, doubled, renamed, moved,
 * very long or very deep. Reaches what reads the tree, where changed bytes mostly end at the parser.
 * @param others values whose parts may turn up in it
 */
export function mutateJson(random: Random, value: unknown, others: readonly unknown[] = []): unknown {
  const root = { root: structuredClone(value) }
  for (let left = random.few(3); left > 0; left--) changeTree(random, root, others)
  return root.root
}

function changeTree(random: Random, root: Record<string, unknown>, others: readonly unknown[]): void {
  const { holder, key } = somewhere(random, root)
  const here = (holder as Record<string | number, unknown>)[key]
  const put = (value: unknown) => {
    ;(holder as Record<string | number, unknown>)[key] = value
  }
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      put(oddValue(random))
      return
    case 3:
      if (Array.isArray(holder)) holder.splice(Number(key), 1)
      else delete holder[key as string]
      return
    case 4:
      if (Array.isArray(holder))
        holder.splice(Number(key), 0, ...Array(random.few(50)).fill(structuredClone(here)))
      else put([here, here])
      return
    case 5:
      if (!Array.isArray(holder)) Object.defineProperty(holder, random.pick(PROTOTYPE_NAMES), own(here))
      return
    case 6: {
      const from = { root: structuredClone(others.length === 0 ? root.root : random.pick(others)) }
      const other = somewhere(random, from)
      put((other.holder as Record<string | number, unknown>)[other.key])
      return
    }
    case 7:
      put(typeof here === 'string' ? splicedText(random, here) : random.pick(ODD_TEXTS))
      return
    case 8:
      put(random.pick(['x', '\ud800', '[1]: ', '"', '\n', 'é']).repeat(random.few(50_000)))
      return
    default:
      put(random.chance(0.2) ? nested(random, random.few(20_000)) : [here])
  }
}

const own = (value: unknown) => ({ value, enumerable: true, configurable: true, writable: true })

function splicedText(random: Random, text: string): string {
  const at = random.below(text.length + 1)
  return text.slice(0, at) + random.pick(ODD_TEXTS) + text.slice(at + random.below(3))
}

/** A random place of the tree, deep ones as likely as shallow ones. */
function somewhere(random: Random, root: Container): { holder: Container; key: string | number } {
  const places: { holder: Container; key: string | number }[] = []
  const rest: Container[] = [root]
  for (let at = rest.pop(); at !== undefined && places.length < 2000; at = rest.pop()) {
    for (const [key, value] of Object.entries(at)) {
      places.push({ holder: at, key })
      if (typeof value === 'object' && value !== null && !(value instanceof Raw))
        rest.push(value as Container)
    }
  }
  return places.length === 0 ? { holder: root, key: 'root' } : random.pick(places)
}
