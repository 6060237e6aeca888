/** Puts the parts to work when the page is there. */
export const START = `
document.addEventListener('DOMContentLoaded', () => {
  const field = $('user')
  field.value = memory.get('user') || ''
  field.addEventListener('input', () => {
    field.removeAttribute('aria-invalid')
    memory.set('user', user())
  })
  // A conversation belongs to the name it was begun with.
  field.addEventListener('change', () => {
    if (conversation !== null && conversation.user !== user()) startOver()
    showShelf()
  })
  startRecent()
  startChat()
  startImages()
  startVideo()
  showHealth()
})
`
