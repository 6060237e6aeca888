import type { FastifyBaseLogger } from 'fastify'
import { hashApiKey, isApiKey } from '../../src/api-key.ts'
import type { Clock } from '../../src/clock.ts'
import type { Changes } from '../../src/store/changes.ts'
import { type ApiKey, type KeyStore, LAST_USED_STEP_MS } from '../../src/store/key-store.ts'

/** How long a key is taken for what it was when it was last looked up: a revocation counts everywhere within 2 s, also where nobody announces it. */
const CACHE_MS = 1000
const MAX_CACHED = 10_000
/** Uses are noted together, this long after the first of them. */
const NOTE_AFTER_MS = 1000

interface Cached {
  lookedUpAt: number
  key: Promise<ApiKey | undefined>
  /** Not known until it was found. */
  found?: ApiKey
}

export interface KeyRingSettings {
  store: KeyStore
  changes: Changes
  clock: Clock
  log: FastifyBaseLogger
}

/** Finds API keys, with a short memory, and notes when they were used. */
export function createKeyRing({ store, changes, clock, log }: KeyRingSettings) {
  /** By hash, the one looked up longest ago first. */
  const cache = new Map<string, Cached>()
  /** When keys were last noted as used, as far as this process knows. */
  const noted = new Map<string, number>()
  const toNote = new Map<string, number>()
  let cancelTimer: (() => void) | undefined
  let noting = Promise.resolve()

  const stopListening = changes.listenAll('key', (id) => {
    for (const [hash, cached] of cache) {
      // One that is being looked up may be the one that changed.
      if (id === undefined || cached.found === undefined || cached.found.id === id) cache.delete(hash)
    }
  })

  function remember(hash: string, cached: Cached): void {
    cache.delete(hash)
    cache.set(hash, cached)
    if (cache.size > MAX_CACHED) cache.delete((cache.keys().next() as { value: string }).value)
  }

  async function lookUp(hash: string, now: number): Promise<ApiKey | undefined> {
    const cached: Cached = { lookedUpAt: now, key: store.find(hash) }
    remember(hash, cached)
    try {
      cached.found = await cached.key
    } finally {
      // Neither wrong keys nor failures are remembered.
      if (cached.found === undefined && cache.get(hash) === cached) cache.delete(hash)
    }
    return cached.found
  }

  function note(): void {
    cancelTimer = undefined
    const uses = [...toNote]
    toNote.clear()
    noting = noting.then(async () => {
      for (const [id, at] of uses) {
        try {
          await store.noteUse(id, at)
        } catch (error) {
          log.warn({ err: error, keyId: id }, 'the use of an API key could not be noted')
        }
      }
    })
  }

  return {
    /**
     * The key as it is kept, whether or not it still counts; `undefined` when there is no such key.
     * @throws the store's error when it can't be asked
     */
    find(text: string): ApiKey | undefined | Promise<ApiKey | undefined> {
      if (!isApiKey(text)) return undefined
      const hash = hashApiKey(text)
      // Not the wall clock: set back by an hour, it would keep a revoked key alive for that long.
      const now = performance.now()
      const known = cache.get(hash)
      if (known !== undefined && now - known.lookedUpAt < CACHE_MS) return known.found ?? known.key
      return lookUp(hash, now)
    },

    /** Notes that a key was used: at most once a minute, later, and for as good as the store can. */
    used(key: ApiKey): void {
      const now = clock.now()
      const last = Math.max(noted.get(key.id) ?? 0, key.lastUsedAt ?? 0)
      if (now - last < LAST_USED_STEP_MS) return
      noted.set(key.id, now)
      toNote.set(key.id, now)
      cancelTimer ??= clock.timer(NOTE_AFTER_MS, note)
    },

    async close(): Promise<void> {
      stopListening()
      cancelTimer?.()
      note()
      await noting
    }
  }
}

export type KeyRing = ReturnType<typeof createKeyRing>
