import { type ComboboxItem, type ComboboxItemGroup, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { abTestsQuery, modelsQuery } from '../api/queries';
import type { Settings } from './types';

interface ModelPickerProps {
  project: string;
  settings: Settings;
  onChange: (settings: Settings) => void;
}

/** Which model answers: a deployed one, the project's default, or what a running A/B test chooses. */
export function ModelPicker({ project, settings, onChange }: ModelPickerProps) {
  const { data: models = [], error } = useQuery(modelsQuery(project));
  const { data: tests = [] } = useQuery(abTestsQuery(project));
  const running = tests.filter((test) => test.status === 'WARMUP' || test.status === 'IN_PROGRESS');
  const standard = models.find((model) => model.is_default);
  const keyOf = (id: string) => id.slice(project.length + 1);

  const data: ComboboxItemGroup<ComboboxItem>[] = [
    {
      group: running.length ? 'Project: running A/B tests take their share' : 'Project',
      items: [{ value: 'default', label: standard ? `Default (${keyOf(standard.id)})` : 'Default' }],
    },
    {
      group: 'Models',
      items: models.map((model) => ({
        value: `model ${keyOf(model.id)}`,
        label: model.online ? keyOf(model.id) : `${keyOf(model.id)} (offline)`,
        disabled: !model.online,
      })),
    },
  ];
  if (running.length) {
    data.push({
      group: 'A/B tests',
      items: running.map((test) => ({ value: `test ${test.key}`, label: `A/B test ${test.key}` })),
    });
  }
  const value = settings.model
    ? `model ${settings.model}`
    : settings.abTest
      ? `test ${settings.abTest}`
      : 'default';
  if (settings.model && !models.some((model) => keyOf(model.id) === settings.model)) {
    data[1]!.items.push({ value, label: `${settings.model} (not deployed)`, disabled: true });
  }

  const choose = (chosen: string | null) => {
    if (!chosen) return;
    const [kind, ...rest] = chosen.split(' ');
    const name = rest.join(' ');
    const { model: _model, abTest: _abTest, ...others } = settings;
    onChange({
      ...others,
      ...(kind === 'model' ? { model: name } : kind === 'test' ? { abTest: name } : {}),
    });
  };
  return (
    <Select
      aria-label="Model"
      data={data}
      value={value}
      onChange={choose}
      allowDeselect={false}
      error={error ? 'Models could not be read' : undefined}
      w={280}
      miw={0}
      maxDropdownHeight={360}
      comboboxProps={{ width: 300, position: 'bottom-start' }}
    />
  );
}
