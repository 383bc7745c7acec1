import { TagsInput } from '@mantine/core';

interface LabelsInputProps {
  value: Record<string, string>;
  onChange: (labels: Record<string, string> | undefined) => void;
}

/** Labels as `key=value`; what has no value is not taken. */
export function LabelsInput({ value, onChange }: LabelsInputProps) {
  const change = (tags: string[]) => {
    const pairs = tags.map((tag): [string, string] => {
      const at = tag.indexOf('=');
      return [tag.slice(0, at).trim(), tag.slice(at + 1).trim()];
    });
    const labels = Object.fromEntries(pairs.filter(([key]) => key));
    onChange(Object.keys(labels).length ? labels : undefined);
  };
  return (
    <TagsInput
      label="Labels"
      description="key=value pairs by which the interactions are found again"
      placeholder="app=playground"
      maxTags={64}
      value={Object.entries(value).map(([key, text]) => `${key}=${text}`)}
      isDuplicate={(tag, tags) => !tag.includes('=') || tags.includes(tag)}
      onChange={change}
    />
  );
}
