// Asks the browser for a passkey when its button is pressed, and sends what it gives with the form that the button stands in.
"use strict";
const button = document.getElementById("use_passkey");
if (button && window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON) {
  const problem = document.getElementById("passkey_problem");
  button.hidden = false;
  button.addEventListener("click", async () => {
    problem.hidden = true;
    button.disabled = true;
    try {
      const options = JSON.parse(button.dataset.options).publicKey;
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const credential = await navigator.credentials.get({ publicKey });
      button.form.elements.passkey.value = JSON.stringify(credential);
      button.form.submit();
    } catch {
      problem.hidden = false;
      button.disabled = false;
    }
  });
}
