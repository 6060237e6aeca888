import { KEY_PREFIX } from '../../../src/api-key.ts'

/**
 * Who the fields at the top say is here. Names are remembered by the browser once the gateway has accepted them; keys
 * only by this tab, and they travel in no other place than the Authorization header.
 */
export const IDENTITY = `
const NOBODY = { id: '', key: '', name: '' }
const KEY_PREFIX = ${JSON.stringify(KEY_PREFIX)}
const keysOnly = () => document.body.dataset.auth === 'key'

// The one that the page shows things of. The id tells identities apart in this page and goes nowhere.
let here = NOBODY

function written() {
  const text = $('credential').value.trim()
  if (text === '') return NOBODY
  if (keysOnly() || text.startsWith(KEY_PREFIX)) return { id: 'key ' + text, key: text, name: $('user').value.trim() }
  return { id: 'name ' + text, key: '', name: text }
}

// A key hides itself, and doesn't say whose it is; chat wants to know.
function suitFields() {
  if (keysOnly()) return
  const field = $('credential')
  const isKey = field.value.trimStart().startsWith(KEY_PREFIX)
  $('user-field').hidden = !isKey
  if ((field.type === 'password') === isKey) return
  const { selectionStart, selectionEnd } = field
  field.type = isKey ? 'password' : 'text'
  field.autocomplete = isKey ? 'off' : 'username'
  if (document.activeElement === field) field.setSelectionRange(selectionStart, selectionEnd)
}

function accepted(who) {
  if (who.id !== here.id || who.key !== '') return
  browserMemory.set('user', who.name)
}

const WRONG_FIELD = {
  invalid_api_key: 'credential',
  api_key_required: 'credential',
  identity_required: 'credential',
  not_key_owner: 'user'
}

// Puts a refusal to the field that it is about.
function blame({ code, message, retryAfter }, who, path) {
  if (who.id !== here.id) return
  const aboutName = who.key !== '' && !keysOnly() && path === 'create_conversation'
  const field = code === 'not_whitelisted' ? (aboutName ? 'user' : 'credential') : WRONG_FIELD[code]
  if (field !== undefined) $(field).setAttribute('aria-invalid', 'true')
  if (field === undefined && code !== 'too_many_failed_authentications') return
  $('identity-problem').textContent = message + (retryAfter ? ' ' + whenAgain(retryAfter) : '')
  $('identity-problem').hidden = false
}

function clearBlame() {
  for (const id of ['credential', 'user']) $(id).removeAttribute('aria-invalid')
  $('identity-problem').hidden = true
  $('identity-problem').textContent = ''
}

// Says at the field that somebody has to be named first. A failure to show where it was wanted.
function needField(id, words) {
  $(id).setAttribute('aria-invalid', 'true')
  $(id).focus()
  return new ApiError(words, { canRetry: false })
}

const mayBeNobody = () => document.body.dataset.anonymous === 'true'

function whoIsMissing() {
  if (keysOnly()) return 'Put your API key into the field at the top.'
  return 'Put a name from the whitelist, or an API key, into the field at the top.'
}

// What one identity sees goes when another comes.
function settleIdentity() {
  const now = written()
  if (now.id === here.id) {
    here = now
    return here
  }
  here = now
  tabMemory.set('key', here.key)
  if (here.id === '' && !keysOnly()) browserMemory.set('user', '')
  stopWatching()
  leaveChat()
  for (const id of ['image-result', 'video-result']) {
    delete $(id).dataset.task
    show($(id), false)
  }
  loadRecent()
  return here
}

function startIdentity() {
  const field = $('credential')
  const user = $('user')
  const name = browserMemory.get('user')
  field.value = tabMemory.get('key') || (keysOnly() ? '' : name)
  user.value = name
  suitFields()
  field.addEventListener('input', () => { clearBlame(); suitFields() })
  user.addEventListener('input', clearBlame)
  field.addEventListener('change', settleIdentity)
  // With nobody named, the page has come with what there is to see.
  if (written().id === '') startRecent()
  else settleIdentity()
}
`
