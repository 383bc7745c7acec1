import { LongTextField, type LongTextFieldProps } from './LongTextField';

/** A place to write JSON by hand. */
export function JsonField(props: LongTextFieldProps) {
  return (
    <LongTextField
      spellCheck={false}
      dir="ltr"
      styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      {...props}
    />
  );
}
