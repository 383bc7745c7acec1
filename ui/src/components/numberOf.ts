/** What a field for a number says, as the API takes it: undefined for an empty one.
 *
 * What is no number, or none that a browser can hold exactly, goes out as it is: the server refuses it in its words.
 */
export function numberOf(typed: number | string): number | undefined {
  if (typed === '') return undefined;
  const value = Number(typed);
  return Number.isNaN(value) ? (typed as unknown as number) : value;
}

/** What is wrong with a number that has to be within limits. */
export function rangeProblem(
  value: number | undefined,
  min = Number.NEGATIVE_INFINITY,
  max = Number.POSITIVE_INFINITY,
): string | undefined {
  if (value === undefined || (value >= min && value <= max)) return undefined;
  if (typeof value !== 'number') return 'This is not a number';
  if (max === Number.POSITIVE_INFINITY) return `At least ${min}`;
  return min === Number.NEGATIVE_INFINITY ? `At most ${max}` : `From ${min} to ${max}`;
}
