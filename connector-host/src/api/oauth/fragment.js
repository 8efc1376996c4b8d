// Hands the answer in the fragment, which no server has seen so far, to the host.
const answer = new URLSearchParams(location.hash.slice(1));
const form = document.forms[0];
for (const name of ["token", "error"]) {
  if (answer.get(name)) form.elements[name].value = answer.get(name);
  else form.elements[name].remove();
}
history.replaceState(null, "", location.pathname);
form.submit();
