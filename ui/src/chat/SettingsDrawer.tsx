import { Button, Drawer, Group, Input, Slider, Stack, Switch, TagsInput, Text } from '@mantine/core';
import { LongTextField } from '../components/LongTextField';
import { NumberField } from '../components/NumberField';
import { AnswerSchemaEditor } from './AnswerSchemaEditor';
import { LabelsInput } from './LabelsInput';
import type { Settings } from './types';
import { useModel } from './useModel';

interface SettingsDrawerProps {
  project: string;
  settings: Settings;
  onChange: (settings: Settings) => void;
  opened: boolean;
  onClose: () => void;
}

/** How this conversation asks. What is left empty is the deployment's or the model's business. */
export function SettingsDrawer({ opened, onClose, ...rest }: SettingsDrawerProps) {
  return (
    <Drawer opened={opened} onClose={onClose} position="right" size="md" title="Settings of this chat">
      <SettingsForm {...rest} />
    </Drawer>
  );
}

function SettingsForm({ project, settings, onChange }: Omit<SettingsDrawerProps, 'opened' | 'onClose'>) {
  const set = <Name extends keyof Settings>(name: Name, value: Settings[Name] | undefined) => {
    const { [name]: _, ...others } = settings;
    onChange(value === undefined ? (others as Settings) : { ...others, [name]: value });
  };
  const model = useModel(project, settings);
  const hint = (name: string) => (model?.settings?.includes(name) ? 'deployment' : 'default');
  return (
    <Stack gap="lg" pb="xl">
      <LongTextField
        label="System prompt"
        description="What the model is told before the conversation"
        placeholder={
          model?.settings?.includes('system_prompt') ? 'The deployment has one; yours is appended' : 'None'
        }
        minRows={3}
        value={settings.system ?? ''}
        onChange={(text) => set('system', text || undefined)}
      />
      <Dial
        label="Temperature"
        description="0 always takes the likeliest token; higher varies more"
        max={2}
        placeholder={hint('temperature')}
        value={settings.temperature}
        onChange={(value) => set('temperature', value)}
      />
      <Dial
        label="Top p"
        description="Only the likeliest tokens that together have this probability"
        min={0.01}
        max={1}
        placeholder={hint('top_p')}
        value={settings.topP}
        onChange={(value) => set('topP', value)}
      />
      <Group grow align="flex-start">
        <NumberField
          label="Max tokens"
          placeholder={model?.context_length ? `up to ${model.context_length}` : 'no limit'}
          min={1}
          value={settings.maxTokens}
          onChange={(value) => set('maxTokens', value)}
        />
        <NumberField
          label="Seed"
          placeholder="random"
          min={0}
          max={Number.MAX_SAFE_INTEGER}
          value={settings.seed}
          onChange={(value) => set('seed', value)}
        />
      </Group>
      <TagsInput
        label="Stop sequences"
        description="The answer ends before the first of these"
        placeholder={settings.stop?.length ? '' : 'Type one and press Enter'}
        maxTags={16}
        value={settings.stop ?? []}
        onChange={(value) => set('stop', value.length ? value : undefined)}
      />
      <AnswerSchemaEditor
        project={project}
        settings={settings}
        value={settings.answerSchema}
        onChange={(value) => set('answerSchema', value)}
      />
      <LabelsInput value={settings.labels ?? {}} onChange={(value) => set('labels', value)} />
      <Switch
        label="Store the interaction"
        description="Off: the server keeps neither the message nor the answer, and it cannot be scored"
        checked={settings.store !== false}
        onChange={(event) => set('store', event.currentTarget.checked ? undefined : false)}
      />
      <Button
        variant="default"
        onClick={() =>
          onChange({
            ...(settings.model ? { model: settings.model } : {}),
            ...(settings.abTest ? { abTest: settings.abTest } : {}),
          })
        }
      >
        Reset to defaults
      </Button>
      <Text size="xs" c="dimmed">
        Kept with this chat, and in the link that shares it. Settings for all requests to a model are those of
        its deployment, on the page Models.
      </Text>
    </Stack>
  );
}

interface DialProps {
  label: string;
  description: string;
  min?: number;
  max: number;
  placeholder: string;
  value?: number;
  onChange: (value: number | undefined) => void;
}

/** A number that is easy to try out, and may be left open. */
function Dial({ label, description, min = 0, max, placeholder, value, onChange }: DialProps) {
  return (
    <Input.Wrapper label={label} description={description}>
      <Group gap="md" wrap="nowrap" mt={6}>
        <Slider
          flex={1}
          min={min}
          max={max}
          step={0.01}
          label={null}
          value={value ?? max / 2}
          color={value === undefined ? 'gray' : undefined}
          onChange={onChange}
          thumbLabel={label}
        />
        <NumberField
          w={104}
          aria-label={`${label}, number`}
          placeholder={placeholder}
          min={min}
          max={max}
          step={0.1}
          value={value}
          onChange={onChange}
        />
      </Group>
    </Input.Wrapper>
  );
}
