/** What must not happen, counted; the first of each kind are kept with what is known of them. */
export interface Findings {
  note(kind: FindingKind, detail: object): void
  count(kind: FindingKind): number
  examples(): { kind: FindingKind; detail: object }[]
}

/** Each is one line of the verdict. */
export const FINDINGS = {
  mixed: 'answers that belong to another turn or conversation',
  altered: 'answers that are not what was said',
  torn: 'streams whose pieces are not their message',
  forgotten: 'conversations that forgot what was said in them',
  replays: 'repeats that did not get the stored answer',
  lost: 'creations lost, or without an end',
  twice: 'prompts taken twice, or sent again after their answer was lost',
  keys: 'different answers to one idempotency key',
  webhooks: 'webhooks missing, wrong or not signed',
  hangs: 'answers that came after their deadline, or never',
  broken: 'connections that the gateway broke',
  contract: 'answers outside the contract',
  unexplained: 'errors that nobody had injected',
  episodes: 'episodes that did not end as they should'
} as const
export type FindingKind = keyof typeof FINDINGS

const KEPT = 4

export function createFindings(): Findings {
  const found = new Map<FindingKind, { count: number; first: object[] }>()
  return {
    note(kind, detail) {
      const entry = found.get(kind) ?? { count: 0, first: [] }
      found.set(kind, entry)
      entry.count++
      if (entry.first.length < KEPT) entry.first.push(detail)
    },
    count: (kind) => found.get(kind)?.count ?? 0,
    examples: () => [...found].flatMap(([kind, { first }]) => first.map((detail) => ({ kind, detail })))
  }
}
