/** Puts the parts to work when the page is there. */
export const START = `
document.addEventListener('DOMContentLoaded', () => {
  startShelf()
  startChat()
  startHistory()
  startImages()
  startVideo()
  startIdentity()
  showHealth()
})
`
