// Choosing a sample fills the input at once; without script the button beside it does.
const samples = JSON.parse(document.getElementById("samples")?.textContent ?? "[]");
const select = document.getElementById("sample");
const input = document.getElementById("input");
const description = document.getElementById("sample-description");

if (select && input) {
  document.querySelector("[data-no-script]").hidden = true;
  select.addEventListener("change", () => {
    const sample = samples.find((one) => one.name === select.value);
    if (!sample) return;
    input.value = sample.text;
    input.removeAttribute("aria-invalid");
    description.textContent = sample.description;
  });
}
